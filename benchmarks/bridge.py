"""The bridge's figures: the reference's calls on both forms, and what it costs to go through the bridge."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.row import Effort, Row, repeat
from kernels.backend import KERNELS, Backend, get_backend
from kernels.consensus import Ballot
from kernels.metric import Metric
from kernels.onnx_model import read_model
from models.classifier import VALUES, classifier
from operators.bridge import Bridge
from operators.bridge_calls import Calls

__all__ = ["rows"]

_SIDE = 1000
_AGENTS, _GROUPS, _OPTIONS = 1000, 70, 8
_CALLS = 2000


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the product of matrices, the prediction, the consensus, and the way through the bridge."""
    rng = np.random.default_rng(0)
    left, right = (rng.random((_SIDE, _SIDE), dtype=np.float32) for _ in range(2))
    yield _pair("1000x1000 matmul", "ms", 100, effort, lambda b: b.tensor("matmul", left, right))
    model, values = read_model(classifier()), np.full((1, VALUES), 0.1, np.float32)
    yield _pair("768 values to 10 classes", "ms", None, effort, lambda b: b.predict(model, values))
    metric, group = Metric("heading", 0.001, 0.0, 7.0), rng.integers(0, _GROUPS, _AGENTS)
    heading, votes = rng.uniform(0, 7, _AGENTS).astype(np.float32), rng.integers(0, _OPTIONS, _AGENTS)
    said = Ballot(group, _GROUPS, heading, votes, _OPTIONS)
    yield _pair("consensus of 1,000 agents", "ms", None, effort, lambda b: b.consensus(said, metric))
    yield _way(effort)


def _pair(
    what: str, unit: str, target: float | None, effort: Effort, call: Callable[[Backend], object]
) -> Row:
    """Return the row of ONNX Runtime on the CPU beside numpy; the target is for the slower of the two."""
    onnx, numpy = (
        repeat(lambda backend=backend: _ms(lambda: call(backend)), effort)
        for backend in (get_backend("onnx-cpu"), get_backend("numpy"))
    )
    slow, fast = (onnx, numpy) if onnx[0] >= numpy[0] else (numpy, onnx)
    names = ("onnx-cpu", "numpy") if slow is onnx else ("numpy", "onnx-cpu")
    return Row(
        f"{what}, {names[0]}", slow[0], unit, target, at_most=True, runs=slow[1], peer=names[1], peer_value=fast[0]
    )  # fmt: skip


def _way(effort: Effort) -> Row:
    """Return what a call costs more through the bridge, where it is counted and timed."""
    numpy, one = get_backend("numpy"), np.ones(1, np.float32)
    bridge = Bridge("numpy", dict.fromkeys(KERNELS, (numpy,)), Calls())

    def microseconds(backend: Backend) -> float:
        return _ms(lambda: [backend.tensor("add", one, one) for _ in range(_CALLS)]) / _CALLS * 1e3

    through, runs = repeat(lambda: microseconds(bridge), effort)
    straight, _ = repeat(lambda: microseconds(numpy), effort)
    return Row("a call through the bridge", through, "us", runs=runs, peer="straight", peer_value=straight)


def _ms(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3
