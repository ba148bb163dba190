"""The kernels as ONNX graphs: the same arithmetic as their numpy forms, operation by operation.

Nothing here may be fused, reassociated or done in another precision: tests hold the results equal to the bit.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kernels.aggregate import Layout
from kernels.grid import Grid
from kernels.metric import Metric

__all__ = ["cells_graph", "gather_graph", "quantise_graph", "reduce_graph"]

_OPSET = 18  # the first whose ScatterElements knows min and max
_IR_VERSION = 8  # of the same age, so that every ONNX Runtime with the opset loads the file

# Axes by name: N events, K groups.
Port = tuple[str, int, str]


class _Graph:
    """Nodes and constants of a graph under construction; values go by name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def model(self, name: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> bytes:
        """Check and serialise; a port is (name, type, name of its one axis)."""
        consumed, produced = (
            [helper.make_tensor_value_info(port, dtype, [axis]) for port, dtype, axis in ports]
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


def cells_graph(grid: Grid) -> bytes:
    """Build `Grid.cells`: x, y [, z] float32 (N,) -> cells int32 (N,)."""
    graph, index = _Graph(), ""
    axes = [axis for axis in range(3) if axis == 0 or grid.shape[axis] > 1]
    for axis in axes:
        low, inverse, last = grid.constants[axis]
        steps = graph.node(
            "Mul", graph.node("Sub", "xyz"[axis], graph.constant(low)), graph.constant(inverse)
        )
        coordinate = graph.node("Cast", steps, to=TensorProto.INT32)  # truncates
        coordinate = graph.node("Min", coordinate, graph.constant(last))
        if index:
            row = graph.node("Mul", index, graph.constant(np.int32(grid.shape[axis])))
            coordinate = graph.node("Add", row, coordinate)
        index = coordinate
    graph.node("Identity", index, output="cells")
    inputs = [("xyz"[axis], TensorProto.FLOAT, "N") for axis in axes]
    return graph.model("cells", inputs, [("cells", TensorProto.INT32, "N")])


def gather_graph(table: NDArray[np.int32]) -> bytes:
    """Build the reading of a table: index int32 (N,) -> value int32 (N,).

    A table of ranks turns cells into Morton order, a table of shards is the binary search in the shard boundaries.
    """
    graph = _Graph()
    graph.node("Gather", graph.constant(table), "index", output="value")
    return graph.model("gather", [("index", TensorProto.INT32, "N")], [("value", TensorProto.INT32, "N")])


def quantise_graph(metric: Metric) -> bytes:
    """Build `Metric.quantise`: values float32 (N,) -> steps int64 (N,)."""
    graph = _Graph()
    _quantise(graph, "values", metric, graph.node("IsNaN", "values"), output="steps")
    return graph.model("quantise", [("values", TensorProto.FLOAT, "N")], [("steps", TensorProto.INT64, "N")])


def reduce_graph(layout: Layout) -> bytes:
    """Build the scatters of `aggregate.reduce`.

    index int64 (N,), size int64 (1,) = K, values0 ... float32 (N,) -> ints0 ... int64 (K,), floats0 ... float32 (K,):
    the rows of the layout but the high limbs, as sums of squares are still whole in the rows of the low ones.
    """
    graph = _Graph()
    zeros = graph.node("ConstantOfShape", "size", value=_one_element(np.int64(0)))
    ones = graph.node("ConstantOfShape", graph.node("Shape", "index"), value=_one_element(np.int64(1)))
    graph.node("ScatterElements", zeros, "index", ones, output="ints0", reduction="add")
    for m, metric in enumerate(layout.metrics):
        missing = graph.node("IsNaN", f"values{m}")
        steps = _quantise(graph, f"values{m}", metric, missing)
        sums = {
            layout.n(m): graph.node("Cast", graph.node("Not", missing), to=TensorProto.INT64),
            layout.sum(m): steps,
        }
        if layout.square[m]:
            sums[layout.lo(m)] = graph.node("Mul", steps, steps)
        for row, updates in sums.items():
            graph.node("ScatterElements", zeros, "index", updates, output=f"ints{row}", reduction="add")
        if layout.extrema[m]:
            for row, neutral, reduction in ((layout.min(m), np.inf, "min"), (layout.max(m), -np.inf, "max")):
                updates = graph.node("Where", missing, graph.constant(np.float32(neutral)), f"values{m}")
                start = graph.node("ConstantOfShape", "size", value=_one_element(np.float32(neutral)))
                graph.node(
                    "ScatterElements", start, "index", updates, output=f"floats{row}", reduction=reduction
                )
    inputs = [(f"values{m}", TensorProto.FLOAT, "N") for m in range(len(layout.metrics))]
    inputs = [("index", TensorProto.INT64, "N"), ("size", TensorProto.INT64, "one"), *inputs]
    return graph.model("reduce", inputs, _reduce_outputs(layout))


def _reduce_outputs(layout: Layout) -> list[Port]:
    high = {layout.hi(m) for m, square in enumerate(layout.square) if square}
    ints: list[Port] = [
        (f"ints{row}", TensorProto.INT64, "K") for row in range(layout.int_rows) if row not in high
    ]
    return ints + [(f"floats{row}", TensorProto.FLOAT, "K") for row in range(layout.float_rows)]


def _quantise(graph: _Graph, values: str, metric: Metric, missing: str, output: str = "") -> str:
    steps = graph.node("Cast", values, to=TensorProto.DOUBLE)
    steps = graph.node(
        "Round", graph.node("Mul", steps, graph.constant(np.float64(metric.scale)))
    )  # ties to even
    steps = graph.node("Where", missing, graph.constant(np.float64(0.0)), steps)
    return graph.node("Cast", steps, output=output, to=TensorProto.INT64)


def _one_element(value: np.generic) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([value]))
