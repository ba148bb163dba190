"""An autoencoder that scores how far a row of features lies from what it can reproduce, trained and written as ONNX.

    z     = (features - typical) / spread           null -> 0, clipped to +-1e4
    copy  = network(clip(z, +-6))                   bounded, so that an outlier cannot be reproduced
    worst = max over features of |z - copy| / limit
    score = worst / (1 + worst)                     0 to 1; an alert above 0.5

`limit` is the feature's residual that one training row in 2,000 exceeds, times one factor for all features, with which
one training row in 1,000 scores above 0.5. The graph works on columns of N events, [F, N]: rows of 13 features are too
short for the vector loops of ONNX Runtime (a network of 32-6-32 took 84 ns an event so, 122 ns as [N, F]).
"""

import json
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, without types

from models.features import Input

__all__ = ["ALERTS_PER_1000", "NEVER", "THRESHOLD", "Autoencoder", "to_onnx", "train"]

THRESHOLD = 0.5
ALERTS_PER_1000 = 1.0
"""Of training rows: what people can still look at. The bundled flights bring 136 events a minute."""
NEVER = 1e9
"""Rare deviation of a feature that is never a reason."""
_LIMIT_QUANTILE = 1 - 1 / 2000
_BOUND = 6.0  # spreads: the range that the network learns, 99.5 % of all values
_FAR = 1e4  # spreads: keeps the arithmetic finite
_LEAST_LIMIT = 0.1  # spreads: what is copied almost perfectly must not alert by rounding
_OPSET, _IR = 18, 9


class Autoencoder(NamedTuple):
    """A trained model.

    Attributes
    ----------
    typical, spread, limit
        (F,) float32, see the module.
    rare
        (F,) float32: how far from typical one training row in 1,000 lies, for the reasons in words.
    layers
        Weights (inputs, outputs) and biases (outputs,) of each layer; all but the last are followed by a Relu.
    """

    typical: NDArray[np.float32]
    spread: NDArray[np.float32]
    limit: NDArray[np.float32]
    rare: NDArray[np.float32]
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]


def train(
    rows: NDArray[np.float32], inputs: Sequence[Input], *, hidden: Sequence[int], epochs: int
) -> Autoencoder:
    """Train on (N, F) rows, null values NaN. The same rows give the same bits on one machine."""
    low, typical, high = np.nanpercentile(rows, [1, 50, 99], axis=0).astype(np.float32)
    spread = np.maximum((high - low) / 4, np.array([i.least_spread for i in inputs], np.float32))
    z = np.nan_to_num((rows - typical) / spread, nan=0).clip(-_FAR, _FAR)
    network = MLPRegressor(
        hidden_layer_sizes=tuple(hidden),
        batch_size=512,
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=0,
    )
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is told when to stop
        network.fit(z.clip(-_BOUND, _BOUND), z.clip(-_BOUND, _BOUND))
        residual = np.abs(z - network.predict(z.clip(-_BOUND, _BOUND)))
    limit = np.maximum(np.quantile(residual, _LIMIT_QUANTILE, axis=0), _LEAST_LIMIT)
    limit = limit * np.quantile((residual / limit).max(axis=1), 1 - ALERTS_PER_1000 / 1000)
    weights = zip(network.coefs_, network.intercepts_, strict=True)
    layers = tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in weights)
    rare = np.maximum(np.nanpercentile(np.abs(rows - typical), 99.9, axis=0).astype(np.float32), spread)
    rare[[i.context for i in inputs]] = NEVER
    return Autoencoder(typical, spread, limit.astype(np.float32), rare, layers)


def to_onnx(model: Autoencoder, inputs: Sequence[Input], *, role: str, training: str) -> bytes:
    """Write the model and its description as an ONNX file."""
    graph = _Graph()
    z = _standardised(graph, model)
    copy = graph.add("Clip", z, graph.weight("low", -_BOUND), graph.weight("high", _BOUND))
    for number, (weights, biases) in enumerate(model.layers):
        copy = graph.add(
            "Gemm", graph.weight(f"w{number}", weights.T), copy, graph.weight(f"b{number}", _column(biases))
        )
        if number < len(model.layers) - 1:
            copy = graph.add("Relu", copy)
    residual = graph.add("Abs", graph.add("Sub", z, copy))
    relative = graph.add("Div", residual, graph.weight("limit", _column(model.limit)))
    worst = graph.add("ReduceMax", relative, graph.weight("axes", [0], np.int64), keepdims=0)
    graph.add("Div", worst, graph.add("Add", worst, graph.weight("one", 1)), output="score")
    proto = graph.to_model(features=len(inputs))
    numbers = [[float(value) for value in values] for values in (model.typical, model.spread, model.rare)]
    described = [
        {"name": i.name, "words": i.words, "unit": i.unit, "typical": typical, "spread": spread, "rare": rare}
        for i, typical, spread, rare in zip(inputs, *numbers, strict=True)
    ]
    said = {"role": role, "version": "1", "threshold": str(THRESHOLD), "training": training}
    said["features"] = json.dumps(described)
    helper.set_model_props(proto, {f"aura.{key}": value for key, value in said.items()})
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _standardised(graph: "_Graph", model: Autoencoder) -> str:
    """Add what turns `features` into z; return its name."""
    shifted = graph.add(
        "Sub", graph.add("Transpose", "features"), graph.weight("typical", _column(model.typical))
    )
    scaled = graph.add("Div", shifted, graph.weight("spread", _column(model.spread)))
    known = graph.add("Where", graph.add("IsNaN", scaled), graph.weight("zero", 0), scaled)
    return graph.add("Clip", known, graph.weight("far_low", -_FAR), graph.weight("far_high", _FAR))


class _Graph:
    """A graph that grows by one operator at a time."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def weight(self, name: str, values: ArrayLike, dtype: type = np.float32) -> str:
        """Add a constant; return its name."""
        self._weights.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator; return the name of its output."""
        name = output or f"{op.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def to_model(self, *, features: int) -> onnx.ModelProto:
        """Return the graph as a model from `features` [N, F] to `score` [N]."""
        given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", features])
        score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])
        graph = helper.make_graph(self._nodes, "aura", [given], [score], self._weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)


def _column(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.reshape(-1, 1)
