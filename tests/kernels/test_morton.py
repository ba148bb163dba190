import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels import morton

COORDINATES = st.lists(st.tuples(*[st.integers(0, 2**21 - 1)] * 3), max_size=50)


def interleaved(cx: int, cy: int, cz: int) -> int:
    """The code, one bit at a time."""
    return sum(
        ((cx >> i & 1) << 3 * i + 2) | ((cy >> i & 1) << 3 * i + 1) | ((cz >> i & 1) << 3 * i)
        for i in range(21)
    )


@given(COORDINATES)
def test_codes_interleave_the_bits(cells: list[tuple[int, int, int]]) -> None:
    """A code holds the bits of x, y and z in turn, from the highest down."""
    axes = np.array(cells, np.int32).reshape(-1, 3).T
    assert morton.encode(*axes).tolist() == [interleaved(*cell) for cell in cells]


@given(COORDINATES)
def test_decode_undoes_encode(cells: list[tuple[int, int, int]]) -> None:
    """Decoding a code gives the coordinates that it was made of."""
    axes = np.array(cells, np.int32).reshape(-1, 3).T
    decoded = morton.decode(morton.encode(*axes))
    assert all(axis.dtype == np.int32 for axis in decoded)
    assert np.array_equal(np.array(decoded), axes)
