"""Integers written in fewer bytes come back as they were."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kernels.narrow import narrow, widen

BOUNDS = st.sampled_from([0, 2**7, 2**8, 2**15, 2**31, 2**62])
ROWS = st.tuples(st.integers(1, 4), st.integers(0, 5)).flatmap(
    lambda shape: BOUNDS.flatmap(lambda b: arrays(np.int64, shape, elements=st.integers(-b, b)))
)


@given(ROWS)
def test_comes_back(rows: np.ndarray) -> None:
    """Narrowing and widening give the same rows, whatever their range."""
    assert widen(narrow(rows), rows.shape[1]).tobytes() == rows.tobytes()


def test_takes_few_bytes() -> None:
    """Counts of a hundred take a byte each, sums of a million four, and a row that repeats takes none."""
    rows = np.array([[100, 0], [100, 0], [10**6, -(10**6)]])
    assert [0 if row is None else row.itemsize for row in narrow(rows)] == [1, 0, 4]
