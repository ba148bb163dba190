import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.group import group

# Bounds that choose each of the three ways: table, sort of packed keys, np.unique.
INDICES = st.sampled_from([5, 10**6, 2**62]).flatmap(lambda bound: st.lists(st.integers(0, bound)))


@given(INDICES)
def test_groups_are_distinct_and_sorted(index: list[int]) -> None:
    """The keys are the distinct indices in order, and `inverse` leads from each event to its key."""
    keys, inverse = group(np.array(index, np.int64))
    assert keys.dtype == np.int64
    assert inverse.dtype == np.int32
    assert keys.tolist() == sorted(set(index))
    assert keys[inverse].tolist() == index


@pytest.mark.parametrize("size", [10, 10**6, 2**62])
def test_a_known_bound_changes_nothing(size: int) -> None:
    """Whatever bound is given, and for int32 as for int64, the groups are the same."""
    index = np.array([7, 3, 7, 0], np.int32)
    for given_index in (index, index.astype(np.int64)):
        keys, inverse = group(given_index, size)
        assert keys.tolist() == [0, 3, 7]
        assert inverse.tolist() == [2, 1, 2, 0]
