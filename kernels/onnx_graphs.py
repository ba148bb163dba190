"""The kernels as ONNX graphs: the same arithmetic as their numpy forms, operation by operation.

Nothing here may be fused, reassociated or done in another precision: tests hold the results equal to the bit.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from kernels.aggregate import Layout
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.onnx_graph import Graph, Port, one_element, quantise

__all__ = ["cells_graph", "gather_graph", "index_graph", "quantise_graph", "reduce_graph"]


def cells_graph(grid: Grid) -> bytes:
    """Build `Grid.cells`: x, y [, z] float32 (N,) -> cells int32 (N,)."""
    graph, index = Graph(), ""
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
    inputs = [("xyz"[axis], TensorProto.FLOAT, ("N",)) for axis in axes]
    return graph.model("cells", inputs, [("cells", TensorProto.INT32, ("N",))])


def gather_graph(table: NDArray[np.int32]) -> bytes:
    """Build the reading of a table: index int32 (N,) -> value int32 (N,).

    A table of ranks turns cells into Morton order, a table of shards is the binary search in the shard boundaries.
    """
    graph = Graph()
    graph.node("Gather", graph.constant(table), "index", output="value")
    return graph.model(
        "gather", [("index", TensorProto.INT32, ("N",))], [("value", TensorProto.INT32, ("N",))]
    )


def index_graph(size: int) -> bytes:
    """Build the index of `aggregate.reduce` for filled up cells: cells int32 (N,), events int64 (1,) -> index int64 (N,).

    The first `events` are cells of a grid of `size`; what fills the batch up becomes a group of its own behind them.
    """
    graph = Graph()
    zero, one = (graph.constant(np.int64(n)) for n in (0, 1))
    length = graph.node("Squeeze", graph.node("Shape", "cells"))
    row = graph.node("Range", zero, length, one)
    cells = graph.node("Cast", "cells", to=TensorProto.INT64)
    graph.node(
        "Where", graph.node("Less", row, "events"), cells, graph.constant(np.int64(size)), output="index"
    )
    inputs: list[Port] = [("cells", TensorProto.INT32, ("N",)), ("events", TensorProto.INT64, ("one",))]
    return graph.model("index", inputs, [("index", TensorProto.INT64, ("M",))])


def quantise_graph(metric: Metric) -> bytes:
    """Build `Metric.quantise`: values float32 (N,) -> steps int64 (N,)."""
    graph = Graph()
    quantise(graph, "values", metric, graph.node("IsNaN", "values"), output="steps")
    return graph.model(
        "quantise", [("values", TensorProto.FLOAT, ("N",))], [("steps", TensorProto.INT64, ("N",))]
    )


def reduce_graph(layout: Layout) -> bytes:
    """Build the scatters of `aggregate.reduce`.

    index int64 (N,), size int64 (1,) = K, values0 ... float32 (N,) -> ints0 ... int64 (K,), floats0 ... float32 (K,):
    the rows of the layout but the high limbs, as sums of squares are still whole in the rows of the low ones.
    """
    graph = Graph()
    zeros = graph.node("ConstantOfShape", "size", value=one_element(np.int64(0)))
    ones = graph.node("ConstantOfShape", graph.node("Shape", "index"), value=one_element(np.int64(1)))
    graph.node("ScatterElements", zeros, "index", ones, output="ints0", reduction="add")
    for m, metric in enumerate(layout.metrics):
        missing = graph.node("IsNaN", f"values{m}")
        steps = quantise(graph, f"values{m}", metric, missing)
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
                start = graph.node("ConstantOfShape", "size", value=one_element(np.float32(neutral)))
                graph.node(
                    "ScatterElements", start, "index", updates, output=f"floats{row}", reduction=reduction
                )
    inputs = [(f"values{m}", TensorProto.FLOAT, ("N",)) for m in range(len(layout.metrics))]
    inputs = [("index", TensorProto.INT64, ("N",)), ("size", TensorProto.INT64, ("one",)), *inputs]
    return graph.model("reduce", inputs, _reduce_outputs(layout))


def _reduce_outputs(layout: Layout) -> list[Port]:
    high = {layout.hi(m) for m, square in enumerate(layout.square) if square}
    ints: list[Port] = [
        (f"ints{row}", TensorProto.INT64, ("K",)) for row in range(layout.int_rows) if row not in high
    ]
    return ints + [(f"floats{row}", TensorProto.FLOAT, ("K",)) for row in range(layout.float_rows)]
