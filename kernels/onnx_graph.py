"""An ONNX graph under construction: nodes and constants by name, checked when it is whole."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kernels.metric import Metric

__all__ = ["Graph", "Port", "one_element", "quantise"]

_OPSET = 18  # the first whose ScatterElements knows min and max
_IR_VERSION = 8  # of the same age, so that every ONNX Runtime with the opset loads the file

Port = tuple[str, int, tuple[str | int, ...]]
"""An input or output: its name, its type, and its axes, each by name or, where that is fixed, by length."""


class Graph:
    """Nodes and constants; a value goes by its name, which `constant` and `node` return."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        """Add a constant."""
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an operation; `output` is for a value that leaves the graph."""
        name = output or f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def model(self, name: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> bytes:
        """Check and serialise."""
        consumed, produced = (
            [helper.make_tensor_value_info(port, dtype, axes) for port, dtype, axes in ports]
            for ports in (inputs, outputs)
        )
        graph = helper.make_graph(self._nodes, name, consumed, produced, self._constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="aura",
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def quantise(graph: Graph, values: str, metric: Metric, missing: str, output: str = "") -> str:
    """Add `Metric.quantise` of float32 `values`, given which are `missing`."""
    steps = graph.node("Cast", values, to=TensorProto.DOUBLE)
    steps = graph.node("Mul", steps, graph.constant(np.float64(metric.scale)))
    steps = graph.node("Round", steps)  # ties to even
    steps = graph.node("Where", missing, graph.constant(np.float64(0.0)), steps)
    return graph.node("Cast", steps, output=output, to=TensorProto.INT64)


def one_element(value: np.generic) -> onnx.TensorProto:
    """Return the value that `ConstantOfShape` repeats."""
    return numpy_helper.from_array(np.array([value]))
