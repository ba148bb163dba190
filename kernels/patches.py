"""Patches of space, one a shard, and what each needs to know of its neighbours' agents.

Cells are gathered into regions of 2**k cells an edge, a prefix of their Morton code; a shard is a contiguous range of
regions in Morton order. An agent belongs to the shard of its cell. Since neighbourhoods are the 3 x 3 x 3 cells around
a cell, a shard gets *copies* of the agents in cells that touch its own: those of an agent are the shards found at the
eight corners of its neighbourhood, as a region is at least two cells wide.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from kernels.grid import Grid
from kernels.shards import ShardMap

__all__ = ["Patches"]

_CORNERS = tuple(product((-1, 1), repeat=3))


@dataclass(frozen=True)
class Patches:
    """How a world is divided.

    Parameters
    ----------
    grid
        Its cells.
    edge_bits
        k: a region has 2**k cells an edge, k >= 1.
    count
        Number of shards asked for; there are never more than regions.

    Examples
    --------
    >>> patches = Patches(Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (8, 2, 1)), 1, 4)
    >>> patches.shard_of.reshape(8, 2)[:, 0].tolist(), patches.at_border.reshape(8, 2)[:, 0].tolist()
    ([0, 0, 1, 1, 2, 2, 3, 3], [False, True, True, True, True, True, True, False])
    """

    grid: Grid
    edge_bits: int
    count: int

    @cached_property
    def regions(self) -> Grid:
        """The regions as cells of a grid of their own."""
        edge = 1 << self.edge_bits
        shape = tuple(-(-n // edge) for n in self.grid.shape)
        return Grid(self.grid.min_m, tuple(m * edge for m in self.grid.cell_m), shape)  # type: ignore[arg-type]

    @cached_property
    def shards(self) -> ShardMap:
        """The ranges of regions by Morton rank."""
        return ShardMap.uniform(self.regions.size, min(self.count, self.regions.size))

    @cached_property
    def region_of(self) -> NDArray[np.int32]:
        """(C,) the row-major index of each cell's region."""
        cx, cy, cz = (np.arange(n, dtype=np.int32) >> self.edge_bits for n in self.grid.shape)
        _, ny, nz = self.regions.shape
        found: NDArray[np.int32] = ((cx[:, None, None] * ny + cy[:, None]) * nz + cz).astype(np.int32)
        return found.reshape(-1)

    @cached_property
    def shard_of(self) -> NDArray[np.int32]:
        """(C,) the shard of each cell."""
        return self.shards.shard_of(self.regions.morton_rank)[self.region_of]

    @cached_property
    def at_border(self) -> NDArray[np.bool_]:
        """(C,) whether the neighbourhood of a cell reaches into another shard."""
        low = high = self.shard_of.reshape(self.grid.shape)
        for axis in range(3):
            low, high = _spread(low, axis, np.minimum), _spread(high, axis, np.maximum)
        found: NDArray[np.bool_] = (low != high).reshape(-1)
        return found

    def copies(self, cells: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """Return the agents that other shards need copies of, and those shards.

        Parameters
        ----------
        cells
            (N,) the agents' cells.

        Returns
        -------
        (K,) numbers into the agents, rising, and (K,) shards: each pair once, never an agent's own shard.
        """
        near = np.flatnonzero(self.at_border[cells])
        if not len(near):
            return near, np.empty(0, np.int32)
        coordinates = self.grid.unravel(cells[near])
        corners = np.stack([self._shards_at(coordinates, corner) for corner in _CORNERS])
        pairs = near * self.shards.shards + corners
        pairs = np.unique(pairs[corners != self.shard_of[cells[near]]])
        agent, shard = np.divmod(pairs, self.shards.shards)
        return agent, shard.astype(np.int32)

    def _shards_at(
        self, coordinates: tuple[NDArray[np.int32], ...], corner: tuple[int, ...]
    ) -> NDArray[np.int32]:
        nx, ny, nz = self.grid.shape
        x, y, z = (
            np.clip(c + step, 0, n - 1) for c, step, n in zip(coordinates, corner, (nx, ny, nz), strict=True)
        )
        found: NDArray[np.int32] = self.shard_of[(x * ny + y) * nz + z]
        return found


def _spread(values: NDArray[np.int32], axis: int, of: np.ufunc) -> NDArray[np.int32]:
    """Return the least or greatest of each value and its two neighbours on an axis."""
    found = values.copy()
    ahead, behind = [slice(None)] * 3, [slice(None)] * 3
    ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
    of(found[tuple(ahead)], values[tuple(behind)], out=found[tuple(ahead)])
    of(found[tuple(behind)], values[tuple(ahead)], out=found[tuple(behind)])
    return found
