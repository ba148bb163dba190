"""Shards: contiguous ranges of Morton rank, so that a shard is a patch of space and its cells lie side by side."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError

__all__ = ["ShardMap"]


@dataclass(frozen=True)
class ShardMap:
    """Shard k holds the ranks from boundaries[k] up to, not including, boundaries[k + 1].

    Parameters
    ----------
    boundaries
        S + 1 rising ranks, from 0 to the number of cells C.
    version
        Rises with every new division; a new one takes effect at a window boundary.

    Raises
    ------
    ConfigError
        If the boundaries do not rise from 0.

    Examples
    --------
    >>> shards = ShardMap.uniform(10, 3)
    >>> shards.boundaries, shards.shard_of(np.array([0, 3, 9], "i4")).tolist(), shards.slice(1)
    ((0, 3, 6, 10), [0, 1, 2], slice(3, 6, None))
    """

    boundaries: tuple[int, ...]
    version: int = 0

    def __post_init__(self) -> None:
        edges = self.boundaries
        if len(edges) < 2 or edges[0] != 0 or any(a >= b for a, b in pairwise(edges)):
            raise ConfigError(f"shard map: expected ranks that rise from 0, got {edges!r}")

    @classmethod
    def uniform(cls, size: int, shards: int, version: int = 0) -> "ShardMap":
        """Divide `size` cells into `shards` ranges whose lengths differ by at most one."""
        if not 1 <= shards <= size:
            raise ConfigError(f"shards: expected 1 to {size}, the number of cells, got {shards}")
        return cls(tuple(k * size // shards for k in range(shards + 1)), version)

    def aligned(self, block_of_rank: NDArray[np.int32]) -> "ShardMap":
        """Return the map with each boundary moved up to where a block begins; shards that are left empty are dropped.

        Parameters
        ----------
        block_of_rank
            (C,) number of each rank's block, rising: no block is then in two shards.

        Examples
        --------
        >>> ShardMap((0, 1, 3, 6)).aligned(np.array([0, 0, 1, 1, 2, 2])).boundaries
        (0, 2, 4, 6)
        """
        begins = np.flatnonzero(np.diff(block_of_rank, prepend=-1))
        places = np.searchsorted(begins, self.boundaries[:-1])
        edges = begins[places[places < len(begins)]].tolist()
        return ShardMap((*dict.fromkeys(edges), self.size), self.version)

    @property
    def shards(self) -> int:
        """Number of shards S."""
        return len(self.boundaries) - 1

    @property
    def size(self) -> int:
        """Number of cells C."""
        return self.boundaries[-1]

    def slice(self, shard: int) -> slice:
        """Return the ranks of a shard."""
        return slice(self.boundaries[shard], self.boundaries[shard + 1])

    def shard_of(self, ranks: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the shard of every rank (N,), each in [0, C)."""
        return self.table[ranks]

    @cached_property
    def table(self) -> NDArray[np.int32]:
        """(C,) the shard of each rank: reading it costs a tenth of a binary search. Read-only."""
        table = np.repeat(np.arange(self.shards, dtype=np.int32), np.diff(self.boundaries))
        table.setflags(write=False)
        return table
