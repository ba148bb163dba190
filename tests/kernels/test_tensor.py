"""Tensors by both backends: the figures of the reference, any input, and what is refused."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from kernels.backend import Backend, get_backend
from kernels.errors import AuraError

NUMPY, ONNX = get_backend("numpy"), get_backend("onnx-cpu")
BOTH = pytest.mark.parametrize("backend", [NUMPY, ONNX], ids=["numpy", "onnx"])
Tensor = NDArray[np.float32]
ANY = st.floats(width=32)
SMALL = st.floats(-1e6, 1e6, width=32)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two tensors of one shape, of any values."""
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    return draw(arrays(np.float32, shape, elements=ANY)), draw(arrays(np.float32, shape, elements=ANY))


@st.composite
def matrices(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two matrices that can be multiplied."""
    r, k, c = (draw(st.integers(0, 5)) for _ in range(3))
    return draw(arrays(np.float32, (r, k), elements=SMALL)), draw(arrays(np.float32, (k, c), elements=SMALL))


@BOTH
def test_the_figures_of_the_reference(backend: Backend) -> None:
    """[1 2; 3 4] x [5 6; 7 8] is [19 22; 43 50]; sum and product go by element."""
    one, other = np.float32([[1, 2], [3, 4]]), np.float32([[5, 6], [7, 8]])
    assert backend.tensor("matmul", one, other).tolist() == [[19, 22], [43, 50]]
    assert backend.tensor("add", one, other).tolist() == [[6, 8], [10, 12]]
    assert backend.tensor("mul", one, other).tolist() == [[5, 12], [21, 32]]


@pytest.mark.parametrize("operation", ["add", "mul"])
@given(pairs())
@example((np.float32([np.nan]), np.float32([np.inf])))
@example((np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)))
def test_by_element_backends_agree_to_the_bit(operation: str, pair: tuple[Tensor, Tensor]) -> None:
    """Sums and products by element are those of IEEE 754 from both, empty, one value, NaN and infinities included."""
    found, expected = (each.tensor(operation, *pair) for each in (ONNX, NUMPY))
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


@BOTH
@given(matrices())
def test_products_of_matrices_are_within_the_bound(backend: Backend, pair: tuple[Tensor, Tensor]) -> None:
    """Each element lies within 2 K 2**-24 of the sum of magnitudes from the product in float64."""
    left, right = (each.astype(np.float64) for each in pair)
    found = backend.tensor("matmul", *pair)
    assert (found.dtype, found.shape) == (np.float32, (left.shape[0], right.shape[1]))
    # Beside it what float32 can hold at all, where a product is that small.
    bound = 2 * (left.shape[1] + 1) * 2.0**-24 * (np.abs(left) @ np.abs(right)) + 2.0**-140
    assert (np.abs(found - left @ right) <= bound).all()


def test_a_nan_reaches_its_row_and_column_alone() -> None:
    """NaN in one row of the left matrix makes that row of the product NaN, in both backends."""
    left, right = np.ones((3, 2), np.float32), np.ones((2, 2), np.float32)
    left[1, 0] = np.nan
    for backend in (NUMPY, ONNX):
        assert np.isnan(backend.tensor("matmul", left, right)).any(axis=1).tolist() == [False, True, False]


@BOTH
@pytest.mark.parametrize(
    ("operation", "left", "right", "message"),
    [
        ("sub", np.ones(2, "f4"), np.ones(2, "f4"), "'sub', expected one of add, mul, matmul"),
        ("add", np.ones(2, "f4"), np.ones(3, "f4"), r"expected one shape, got \[2\] and \[3\]"),
        ("matmul", np.ones((2, 3), "f4"), np.ones((2, 3), "f4"), r"expected \[R, K\] and \[K, C\]"),
        ("matmul", np.ones(3, "f4"), np.ones(3, "f4"), r"expected \[R, K\] and \[K, C\], got \[3\]"),
        ("mul", np.ones(2), np.ones(2, "f4"), "expected float32, got float64 and float32"),
    ],
)
def test_other_operations_are_errors(
    backend: Backend, operation: str, left: NDArray, right: NDArray, message: str
) -> None:
    """Another operation, shape or type is one clear error."""
    with pytest.raises(AuraError, match=message):
        backend.tensor(operation, left, right)
