"""`kernels.consensus` as an ONNX graph: integers throughout, so that the answer is the same to the bit."""

import numpy as np
from onnx import TensorProto

from kernels.metric import Metric
from kernels.onnx_graph import Graph, Port, one_element, quantise

__all__ = ["consensus_graph"]


def consensus_graph(metric: Metric, options: int) -> bytes:
    """Build `consensus.consensus`.

    group, ballots int64 (N,), values float32 (N,), size int64 (1,) = G -> n, total, support int64 (G,), votes
    int64 (G, O), choice int32 (G,).
    """
    graph = Graph()
    missing = graph.node("IsNaN", "values")
    given = graph.node("Cast", graph.node("Not", missing), to=TensorProto.INT64)
    zeros = graph.node("ConstantOfShape", "size", value=one_element(np.int64(0)))
    for output, updates in (("n", given), ("total", quantise(graph, "values", metric, missing))):
        graph.node("ScatterElements", zeros, "group", updates, output=output, reduction="add")
    _votes(graph, options)
    inputs = [("values", TensorProto.FLOAT, ("N",)), ("size", TensorProto.INT64, ("one",))]
    inputs += [(name, TensorProto.INT64, ("N",)) for name in ("group", "ballots")]
    outputs: list[Port] = [(name, TensorProto.INT64, ("G",)) for name in ("n", "total", "support")]
    outputs += [("votes", TensorProto.INT64, ("G", options)), ("choice", TensorProto.INT32, ("G",))]
    return graph.model("consensus", inputs, outputs)


def _votes(graph: Graph, options: int) -> None:
    """Count votes, and take the first option with the most of them."""
    width, none = graph.constant(np.array([options])), graph.constant(np.int64(0))
    abstains = graph.node("Less", "ballots", none)
    # Who abstains adds 0 to the first option.
    option = graph.node("Max", "ballots", none)
    box = graph.node("Add", graph.node("Mul", "group", width), option)
    cast = graph.node("Cast", graph.node("Not", abstains), to=TensorProto.INT64)
    boxes = graph.node("ConstantOfShape", graph.node("Mul", "size", width), value=one_element(np.int64(0)))
    counted = graph.node("ScatterElements", boxes, box, cast, reduction="add")
    graph.node("Reshape", counted, graph.constant(np.array([-1, options])), output="votes")
    # As float64, exact below 2**53 votes: on CUDA ArgMax takes no integers.
    exact = graph.node("Cast", "votes", to=TensorProto.DOUBLE)
    first = graph.node("ArgMax", exact, axis=1, keepdims=0, select_last_index=0)
    top = graph.node(
        "GatherElements", "votes", graph.node("Unsqueeze", first, graph.constant(np.array([1]))), axis=1
    )
    graph.node("Squeeze", top, graph.constant(np.array([1])), output="support")
    empty = graph.node("Equal", "support", none)
    choice = graph.node("Where", empty, graph.constant(np.int64(-1)), first)
    graph.node("Cast", choice, output="choice", to=TensorProto.INT32)
