"""`kernels.features` as an ONNX graph."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, helper

from kernels.onnx_graph import Graph, Port

__all__ = ["features_graph"]


def features_graph(dtypes: Sequence[np.dtype]) -> bytes:
    """Build `features.feature_rows`: f0, f1, ... (N,) of the F `dtypes` -> features float32 (N, F)."""
    graph, last, parts = Graph(), "", list[str]()
    last = graph.constant(np.array([1]))
    for i in range(len(dtypes)):
        value = graph.node("Cast", f"f{i}", to=TensorProto.FLOAT)
        parts.append(graph.node("Unsqueeze", value, last))
    graph.node("Concat", *parts, axis=1, output="features")
    inputs: list[Port] = [
        (f"f{i}", helper.np_dtype_to_tensor_dtype(dtype), ("N",)) for i, dtype in enumerate(dtypes)
    ]
    return graph.model("features", inputs, [("features", TensorProto.FLOAT, ("N", len(dtypes)))])
