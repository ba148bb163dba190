"""Kernels that read what another makes: the same as one after the other, with the array left on the device."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.aggregate import Layout
from kernels.backend import Backend, get_backend
from kernels.errors import ConfigError
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.onnx_backend import OnnxBackend
from kernels.onnx_model import Model, read_model
from kernels.scorer import Scorer
from models.classifier import VALUES, classifier

NUMPY, ONNX = get_backend("numpy"), get_backend("onnx-cpu")
CHAINED = OnnxBackend("onnx-cpu", chained=True)  # as on a GPU, with the CPU as the device
EACH = pytest.mark.parametrize("backend", [NUMPY, ONNX, CHAINED], ids=["numpy", "onnx", "chained"])
GRID = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (4, 4, 1))
SPEED = Metric("speed_mps", 0.25, -300.0, 300.0)
LAYOUT = Layout((SPEED,), square=(True,), extrema=(True,))
EVENTS = st.lists(
    st.tuples(
        st.floats(0, 40, width=32),
        st.floats(0, 40, width=32),
        st.floats(-300, 300, width=32) | st.just(math.nan),
    ),
    max_size=40,
)
NUMBERS = st.sampled_from(["f4", "f8", "i4", "i8", "u1", "u4", "u8"])


@pytest.fixture(scope="module")
def model() -> Model:
    """The network that tells ten classes apart."""
    return read_model(classifier())


@given(EVENTS)
@example([])
@example([(40.0, 0.0, math.nan)])
def test_sums_of_positions_are_sums_of_their_cells(events: list[tuple[float, float, float]]) -> None:
    """Sums by cell are the same bits whether the cells are fetched in between or not, whichever backend makes them."""
    x, y, value = np.array(events, np.float32).reshape(-1, 3).T.copy()
    z = np.zeros_like(x)
    expected = NUMPY.reduce(NUMPY.cells(GRID, x, y, z), GRID.size, [value], LAYOUT)
    for backend in (NUMPY, ONNX, CHAINED):
        found = backend.grid_sums(GRID, (x, y, z), [value], LAYOUT)
        for got, wanted in zip(found, expected, strict=True):
            assert (got.dtype, got.shape, got.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())


@given(st.lists(NUMBERS, min_size=1, max_size=4), st.integers(0, 30), st.randoms(use_true_random=False))
def test_features_are_alike(dtypes: list[str], rows: int, random: Any) -> None:
    """Columns of any numbers become the same rows of float32 from both backends."""
    rng = np.random.default_rng(random.randrange(2**32))
    columns = [_column(rng, np.dtype(code), rows) for code in dtypes]
    found, expected = (each.features(columns) for each in (ONNX, NUMPY))
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape) == (np.float32, (rows, len(dtypes)))
    np.testing.assert_array_equal(found, expected)


def _column(rng: np.random.Generator, dtype: np.dtype, rows: int) -> NDArray[Any]:
    if dtype.kind == "f":
        return rng.choice([np.nan, -0.0, 1 / 3, 1e38, -1e300 if dtype.itemsize == 8 else -1e30], rows).astype(
            dtype
        )
    return rng.integers(0, np.iinfo(dtype).max, rows, dtype, endpoint=True)


@EACH
@pytest.mark.parametrize("rows", [0, 1, 1535, 1536, 1537, 4000])
def test_a_model_over_columns_is_a_model_over_their_rows(backend: Backend, rows: int, model: Model) -> None:
    """Scores of columns are those of the rows made of them, bit for bit, at and beside the length of a block."""
    matrix = np.random.default_rng(0).normal(0, 0.3, (rows, VALUES)).astype(np.float32)
    found = backend.predict_columns(model, list(matrix.T))
    assert found.shape == (rows, 10)
    assert found.tobytes() == backend.predict(model, matrix).tobytes()


@EACH
def test_the_prediction_of_the_reference(backend: Backend, model: Model) -> None:
    """768 values of 0.1 give ten classes, of which the largest is above 0.5."""
    classes = backend.predict(model, np.full((1, VALUES), 0.1, np.float32))
    assert classes.shape == (1, 10)
    assert classes.max() > 0.5
    assert classes.sum() == pytest.approx(1, abs=1e-5)


def test_several_models_run_at_once(model: Model) -> None:
    """Models take turns on one backend and each goes on giving what it gave alone."""
    other, rows = read_model(classifier(1)), np.full((3, VALUES), 0.1, np.float32)
    alone = [get_backend("onnx-cpu").predict(each, rows).tobytes() for each in (model, other)]
    together = get_backend("onnx-cpu")
    assert [together.predict(each, rows).tobytes() for each in (model, other, model)] == [*alone, alone[0]]


def test_backends_agree_on_classes(model: Model) -> None:
    """Numpy and ONNX Runtime tell classes apart to a few roundings."""
    rows = np.random.default_rng(1).normal(0, 0.3, (100, VALUES)).astype(np.float32)
    np.testing.assert_allclose(ONNX.predict(model, rows), NUMPY.predict(model, rows), rtol=1e-4, atol=1e-6)


def test_a_classifier_is_no_scorer() -> None:
    """A model that tells classes apart is the same from the same seed, and is refused where scores are expected."""
    assert classifier(3) == classifier(3)
    with pytest.raises(ConfigError, match="tells classes apart"):
        Scorer.load(classifier())
