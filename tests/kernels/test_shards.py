import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import ConfigError
from kernels.shards import ShardMap


@given(st.sets(st.integers(1, 200), min_size=1))
def test_shards_divide_the_ranks(edges: set[int]) -> None:
    """Every rank belongs to exactly the shard whose slice holds it: what a binary search in the boundaries says."""
    shards = ShardMap((0, *sorted(edges)))
    ranks = np.arange(shards.size, dtype=np.int32)
    found = shards.shard_of(ranks)
    assert np.array_equal(found, np.searchsorted(shards.boundaries[1:], ranks, side="right"))
    assert np.concatenate([ranks[shards.slice(k)] for k in range(shards.shards)]).tolist() == ranks.tolist()
    assert all((found[shards.slice(k)] == k).all() for k in range(shards.shards))


@given(st.integers(1, 10_000), st.data())
def test_uniform_shards_are_alike(size: int, data: st.DataObject) -> None:
    """The lengths of uniform shards differ by at most one and add up to all cells."""
    shards = ShardMap.uniform(size, data.draw(st.integers(1, size)), version=3)
    lengths = np.diff(shards.boundaries)
    assert lengths.sum() == shards.size == size
    assert lengths.max() - lengths.min() <= 1
    assert shards.version == 3


@pytest.mark.parametrize("boundaries", [(), (0,), (1, 2), (0, 2, 2), (0, 3, 2)])
def test_boundaries_must_rise_from_zero(boundaries: tuple[int, ...]) -> None:
    """Boundaries that do not rise from 0 are refused."""
    with pytest.raises(ConfigError, match="rise from 0"):
        ShardMap(boundaries)


@pytest.mark.parametrize("shards", [0, 11])
def test_there_are_no_more_shards_than_cells(shards: int) -> None:
    """A uniform map has between one shard and one a cell."""
    with pytest.raises(ConfigError, match="expected 1 to 10"):
        ShardMap.uniform(10, shards)
