"""Small ONNX models for the tests of scorers, and rows for them."""

import json
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kernels.scorer import Scorer

__all__ = [
    "BACKENDS",
    "FEATURES",
    "SAID",
    "F",
    "model_of",
    "network",
    "node",
    "random_rows",
    "scorer_of",
    "simple",
]

F = 5  # features
BACKENDS = ("numpy", "onnx-cpu")
FEATURES = [
    {
        "name": f"metric_{i}",
        "words": f"metric {i}",
        "unit": "m/s",
        "typical": 10.0 * i,
        "spread": 2.0,
        "rare": 6.0,
    }
    for i in range(F)
]
SAID = {
    "aura.role": "event",
    "aura.version": "1",
    "aura.training": "made up",
    "aura.threshold": "0.5",
    "aura.features": json.dumps(FEATURES),
}


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node."""
    return helper.make_node(op, inputs, [output], **attributes)


def model_of(nodes: list[onnx.NodeProto], **weights: NDArray[Any]) -> onnx.ModelProto:
    """Return a model from `features` [N, 5] to `score` [N] with weights of these names."""
    tensors = [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()]
    given_features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", F])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph(nodes, "test", [given_features], [score], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, SAID)
    return model


@cache
def network(width: int = 16) -> bytes:
    """Return a network with two layers whose last sums the squared residuals of all features, as bytes."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> NDArray[np.float32]:
        return rng.normal(size=shape).astype(np.float32)

    nodes = [
        node("IsNaN", ["features"], "null"),
        node("Where", ["null", "zero", "features"], "known"),
        node("Clip", ["known", "low", "high"], "z"),
        node("Gemm", ["z", "w0", "b0"], "g0"),
        node("Tanh", ["g0"], "h0"),
        node("Gemm", ["h0", "w1", "b1"], "g1", transB=1),
        node("Sub", ["z", "g1"], "residual"),
        node("Mul", ["residual", "residual"], "squared"),
        node("MatMul", ["squared", "ones"], "sum"),
        node("Sqrt", ["sum"], "root"),
        node("ReduceMax", ["root", "axes"], "score", keepdims=0),
    ]
    low, high, zero = (np.float32(value) for value in (-8, 8, 0))
    model = model_of(
        nodes, w0=random(F, width), b0=random(width), w1=random(F, width), b1=random(F),
        ones=np.ones((F, 1), np.float32), axes=np.array([1]), low=low, high=high, zero=zero,
    )  # fmt: skip
    return model.SerializeToString()


def simple() -> onnx.ModelProto:
    """Return the smallest model: the largest feature."""
    return model_of([node("ReduceMax", ["features", "axes"], "score", keepdims=0)], axes=np.array([1]))


def random_rows(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return rows in which one value of twenty is null."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 3, (count, F)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.05] = np.nan
    return rows


@cache
def scorer_of(backend: str) -> Scorer:
    """Return the network on a backend."""
    return Scorer.load(network(), backend=backend)
