"""Scores by both backends, in any batching, explained in words."""

from hashlib import sha256
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import BACKENDS, F, model_of, network, node, random_rows, scorer_of
from numpy.typing import NDArray
from onnx import numpy_helper

from kernels.errors import ConfigError
from kernels.onnx_model import ALLOWED
from kernels.onnx_numpy import OPERATORS
from kernels.scorer import Scorer


@pytest.mark.parametrize("backend", BACKENDS)
def test_says_what_it_is(backend: str) -> None:
    """A scorer has the model's features, threshold and role, its hash, and what runs it."""
    scorer = Scorer.load(network(), sha256=sha256(network()).hexdigest(), backend=backend)
    assert scorer.features == tuple(f"metric_{i}" for i in range(F))
    assert (scorer.threshold, scorer.role, scorer.sha256) == (0.5, "event", sha256(network()).hexdigest())
    assert scorer.provider == {"numpy": "numpy", "onnx-cpu": "CPUExecutionProvider"}[backend]


def test_backends_agree() -> None:
    """Numpy and ONNX Runtime give the same scores to a few roundings."""
    rows = random_rows(5000)
    np.testing.assert_allclose(
        scorer_of("numpy").score(rows), scorer_of("onnx-cpu").score(rows), rtol=2e-6, atol=2e-6
    )


def test_the_score_is_that_of_the_formula() -> None:
    """The score of one row is what the network's formula gives in float64."""
    row = np.array([1, -2, np.nan, 100, 0], np.float32)
    w = {t.name: numpy_helper.to_array(t) for t in onnx.ModelProto.FromString(network()).graph.initializer}
    z = np.array([1, -2, 0, 8, 0], np.float64)
    residual = z - (np.tanh(z @ w["w0"] + w["b0"]) @ w["w1"].T + w["b1"])
    assert scorer_of("numpy").score(row[None])[0] == pytest.approx(np.sqrt((residual**2).sum()), rel=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@given(cuts=st.lists(st.integers(0, 4000), max_size=8))
@settings(max_examples=15)
def test_any_batching_gives_the_same_bits(backend: str, cuts: list[int]) -> None:
    """However rows are cut into batches, empty ones and single rows too, each has the same score, bit for bit."""
    scorer, rows = scorer_of(backend), random_rows(4000)
    parts = [scorer.score(part) for part in np.split(rows, sorted({*cuts, 1, 2}))]
    assert np.concatenate(parts).tobytes() == scorer.score(rows).tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_place_of_a_row_does_not_matter(backend: str) -> None:
    """Rows in another order have the same scores, bit for bit."""
    rows, order = random_rows(4000), np.random.default_rng(1).permutation(4000)
    assert scorer_of(backend).score(rows[order]).tobytes() == scorer_of(backend).score(rows)[order].tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_rows(backend: str) -> None:
    """No rows have no scores."""
    assert scorer_of(backend).score(np.empty((0, F), np.float32)).shape == (0,)


@pytest.mark.parametrize(
    "rows", [np.zeros((3, F)), np.zeros((3, F + 1), np.float32), np.zeros(F, np.float32)]
)
def test_other_rows_are_refused(rows: NDArray[Any]) -> None:
    """Rows of another type or width are refused with what was expected and what came."""
    with pytest.raises(ConfigError, match=r"takes float32 \[N, 5\], got"):
        scorer_of("numpy").score(rows)


# What gives `y` [N, 5] of `features`, for each operator that does; `row` is [5], `square` [5, 5], `half` a number.
_TO_Y: dict[str, list[onnx.NodeProto]] = {
    **{op: [node(op, ["features"], "y")] for op in ("Abs", "Log", "Neg", "Relu", "Sigmoid", "Sqrt", "Tanh")},
    **{op: [node(op, ["features", "row"], "y")] for op in ("Add", "Div", "Max", "Min", "Mul", "Sub")},
    "Clip": [node("Clip", ["features", "", "half"], "y")],
    "Gemm": [node("Gemm", ["features", "square", "row"], "y", alpha=0.5, beta=2.0, transB=1)],
    "IsNaN": [node("IsNaN", ["features"], "null"), node("Where", ["null", "row", "features"], "y")],
    "MatMul": [node("MatMul", ["features", "square"], "y")],
    "ReduceMin": [
        node("ReduceMin", ["features", "axes"], "least"),
        node("Sub", ["features", "least"], "y"),
    ],
    "Transpose": [
        node("Transpose", ["features"], "turned"),
        node("Gemm", ["turned", "square"], "y", transA=1),
    ],
}
_TO_Y |= {"ReduceMax": _TO_Y["Abs"], "Where": _TO_Y["IsNaN"]}


@pytest.mark.parametrize("op", sorted(ALLOWED))
def test_each_operator(op: str) -> None:
    """Each operator that is allowed gives the same in numpy as in ONNX Runtime."""
    square = np.arange(F * F, dtype=np.float32).reshape(F, F) / 7
    model = model_of(
        [*_TO_Y[op], node("ReduceMax", ["y", "axes"], "score", keepdims=0)],
        axes=np.array([1]), row=np.arange(1, F + 1, dtype=np.float32), half=np.float32(0.5), square=square,
    )  # fmt: skip
    rows = random_rows(100) if op in {"IsNaN", "Where"} else np.nan_to_num(random_rows(100))
    rows = np.abs(rows) if op in {"Log", "Sqrt"} else rows
    one, other = (Scorer.load(model.SerializeToString(), backend=backend).score(rows) for backend in BACKENDS)
    np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6)


def test_numpy_has_all_operators() -> None:
    """What a model may use and what numpy runs are the same operators."""
    assert set(OPERATORS) == ALLOWED


def test_another_threshold() -> None:
    """A scorer with another threshold has the same model and scores; a threshold that is no number is refused."""
    scorer = scorer_of("numpy").with_threshold(0.9)
    assert (scorer.threshold, scorer.sha256) == (0.9, scorer_of("numpy").sha256)
    assert scorer.score(random_rows(10)).tobytes() == scorer_of("numpy").score(random_rows(10)).tobytes()
    with pytest.raises(ConfigError, match="threshold is nan"):
        scorer.with_threshold(float("nan"))


_COMBINATION = "an unusual combination of usual values"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([0, 10, 4020, 30, 40], "metric 2 is 4,020 m/s (typically 20 ± 2)"),
        ([0, 10, 60, 31, -11], "metric 4 is -11 m/s (typically 40 ± 2); metric 2 is 60 m/s (typically 20 ± 2)"),
        ([1, 10, 20, 30, 40], f"{_COMBINATION}, first of all metric 0 is 1 m/s (typically 0 ± 2)"),
        ([np.nan] * 5, "nothing is known of it: every feature is null"),
        ([np.nan, 10, np.nan, -np.inf, 40], "metric 3 is -inf m/s (typically 30 ± 2)"),
    ],
)  # fmt: skip
def test_reasons(row: list[float], words: str) -> None:
    """The reason names the one or two values that lie further from typical than one in 1,000 does."""
    assert scorer_of("numpy").explain(np.array(row, np.float32)) == words


def test_an_unknown_backend() -> None:
    """A backend that there is not is refused with those that there are."""
    with pytest.raises(ConfigError, match="numpy, onnx-cpu, onnx-cuda, got 'tpu'"):
        Scorer.load(network(), backend="tpu")


def _has_gpu() -> bool:
    try:
        return Scorer.load(network(), backend="onnx-cuda").provider == "CUDAExecutionProvider"
    except ConfigError:
        return False


@pytest.mark.skipif(_has_gpu(), reason="there is a GPU")
def test_cuda_without_a_gpu() -> None:
    """Where there is no GPU the backend onnx-cuda is refused, never run on the CPU in silence."""
    with pytest.raises(ConfigError, match="CUDAExecutionProvider"):
        Scorer.load(network(), backend="onnx-cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not _has_gpu(), reason="needs a CUDA GPU")
def test_cuda_agrees() -> None:
    """A GPU gives the scores of the CPU to a few roundings, and the same bits in any batching."""
    scorer, rows = Scorer.load(network(), backend="onnx-cuda"), random_rows(4000)
    np.testing.assert_allclose(scorer.score(rows), scorer_of("onnx-cpu").score(rows), rtol=1e-5, atol=1e-5)
    parts = [scorer.score(part) for part in np.split(rows, [1, 2, 1000])]
    assert np.concatenate(parts).tobytes() == scorer.score(rows).tobytes()
