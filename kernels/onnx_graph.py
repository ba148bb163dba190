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
    """Nodes and constants; a value goes by its name, which `constant` and `node` return.

    Parameters
    ----------
    prefix
        What the names begin with: those of a loop's body must not be those of the graph around it.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        """Add a constant."""
        name = f"{self._prefix}constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an operation; `output` is for a value that leaves the graph."""
        name = output or f"{self._prefix}value{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def loop(self, inputs: Sequence[str], outputs: Sequence[str], body: onnx.GraphProto) -> None:
        """Add a loop; `body` may use the values of this graph."""
        self._nodes.append(helper.make_node("Loop", inputs, outputs, body=body))

    def model(self, name: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> bytes:
        """Check and serialise."""
        model = helper.make_model(
            self.body(name, inputs, outputs),
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="aura",
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def body(self, name: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> onnx.GraphProto:
        """Return the graph itself: what a loop runs."""
        consumed, produced = (
            [helper.make_tensor_value_info(port, dtype, axes) for port, dtype, axes in ports]
            for ports in (inputs, outputs)
        )
        return helper.make_graph(self._nodes, name, consumed, produced, self._constants)


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
