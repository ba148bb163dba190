"""Who is near: agents listed by cell, sums over the cells around a cell, and the k nearest within a radius.

Of a cell, its *neighbourhood* is the 3 x 3 x 3 cells around it, those of them in the world. Cells are numbered row by
row, so the cells of a neighbourhood stand in nine runs of at most three neighbours: two binary searches a run in the
list of cells that hold agents find them, however large and empty the world is.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CellList", "Nearest"]

_PAIRS = 1 << 21  # candidates looked at in one go: some 100 MB of scratch


class Nearest:
    """The nearest of some agents: K pairs, by agent and then from near to far.

    Attributes
    ----------
    agent, other
        (K,) numbers of the agents.
    rank
        (K,) int32, 1 for the nearest.
    distance_m
        (K,) float32.
    """

    def __init__(
        self,
        agent: NDArray[np.intp],
        other: NDArray[np.intp],
        rank: NDArray[np.int32],
        distance_m: NDArray[np.float32],
    ) -> None:
        self.agent, self.other, self.rank, self.distance_m = agent, other, rank, distance_m


class CellList:
    """N agents by the cells that they are in.

    Parameters
    ----------
    cells
        (N,) int32 row-major cells.
    shape
        Of the grid.

    Examples
    --------
    >>> listed = CellList(np.array([0, 1, 3], "i4"), (4, 1, 1))
    >>> listed.around([np.ones(3, "i8")]).tolist()
    [[2, 2, 1]]
    """

    def __init__(self, cells: NDArray[np.int32], shape: tuple[int, int, int]) -> None:
        self._shape = shape
        self.order = _sorted_rows(cells)
        ranked = cells[self.order]
        heads = (
            np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
            if len(ranked)
            else np.empty(0, np.intp)
        )
        self.starts = np.append(heads, len(ranked))
        self.cells = ranked[heads].astype(np.int64)
        number = np.zeros(len(ranked), np.intp)
        number[heads[1:]] = 1
        self.cell_number = np.empty(len(ranked), np.intp)
        self.cell_number[self.order] = np.cumsum(number)

    def sums(self, values: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
        """Return the (V, K) sums over each cell's agents of V columns of (N,) integers."""
        found = np.zeros((len(values), len(self.cells)), np.int64)
        for total, own in zip(found, values, strict=True):
            np.add.at(total, self.cell_number, own.astype(np.int64, copy=False))
        return found

    def around(self, values: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
        """Return the (V, K) sums over the neighbourhoods of the K cells that hold agents, of V columns."""
        before = np.zeros((len(values), len(self.cells) + 1), np.int64)
        np.cumsum(self.sums(values), axis=1, out=before[:, 1:])
        total = np.zeros((len(values), len(self.cells)), np.int64)
        for first, end in self._runs():
            total += before[:, end]
            total -= before[:, first]
        return total

    def volume(self) -> NDArray[np.int64]:
        """Return the (K,) numbers of cells in the neighbourhoods of the cells that hold agents."""
        found = np.ones(len(self.cells), np.int64)
        for coordinate, size in zip(self._coordinates(), self._shape, strict=True):
            found *= 1 + (coordinate > 0) + (coordinate < size - 1)
        return found

    def nearest(
        self,
        position_m: tuple[NDArray[np.float32], ...],
        wanted: NDArray[np.intp],
        *,
        k: int,
        radius_m: float,
    ) -> Nearest:
        """Return the k nearest others of some agents, none farther than a radius.

        Parameters
        ----------
        position_m
            x, y, z of all agents, (N,) each; those at equal distances count in the order in which they stand.
        wanted
            Numbers of the agents whose neighbours are wanted, rising.
        k
            How many at most.
        radius_m
            At most the shortest edge of a cell, or some are missed.
        """
        found = [
            self._nearest(position_m, part, k, np.float32(radius_m))
            for part in self._parts(wanted)
        ]  # fmt: skip
        columns = [np.concatenate(column) for column in zip(*found, strict=True)] if found else _NOBODY
        return Nearest(*columns)

    def _nearest(
        self,
        position_m: tuple[NDArray[np.float32], ...],
        wanted: NDArray[np.intp],
        k: int,
        radius_m: np.float32,
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32], NDArray[np.float32]]:
        agent, other = self._candidates(wanted)
        square = np.zeros(len(agent), np.float32)
        for axis in position_m:
            apart = axis[agent] - axis[other]
            square += apart * apart
        near = np.flatnonzero((square <= radius_m * radius_m) & (agent != other))
        agent, other, square = agent[near], other[near], square[near]
        order = np.lexsort((other, square, agent))
        agent, other, square = agent[order], other[order], square[order]
        heads = np.flatnonzero(np.append(True, agent[1:] != agent[:-1])) if len(agent) else near
        rank = np.arange(len(agent)) - np.repeat(heads, np.diff(np.append(heads, len(agent)))) + 1
        kept = rank <= k
        return agent[kept], other[kept], rank[kept].astype(np.int32), np.sqrt(square[kept])

    def _candidates(self, wanted: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return each pair of a wanted agent and an agent of its neighbourhood, itself included."""
        agents, others = [], []
        own = self.cell_number[wanted]
        for first, end in self._runs():
            start, stop = self.starts[first[own]], self.starts[end[own]]
            count = stop - start
            total = int(count.sum())
            skipped = np.repeat(np.cumsum(count) - count, count)
            agents.append(np.repeat(wanted, count))
            others.append(self.order[np.arange(total) - skipped + np.repeat(start, count)])
        return np.concatenate(agents), np.concatenate(others)

    def _parts(self, wanted: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        """Yield runs of wanted agents that have so many candidates that memory stays bounded."""
        if not len(wanted):
            return
        near = self.around([np.ones(len(self.order), np.int64)])[0][self.cell_number[wanted]]
        part = np.cumsum(near) // _PAIRS
        yield from np.split(wanted, np.flatnonzero(np.diff(part)) + 1)

    def _runs(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield nine times the first and the end of a run of listed cells, for each of the K cells."""
        (cx, cy, cz), (nx, ny, nz) = self._coordinates(), self._shape
        low, high = -(cz > 0).astype(np.int64), (cz < nz - 1).astype(np.int64)
        for dx, dy in product((-1, 0, 1), repeat=2):
            inside = (cx + dx >= 0) & (cx + dx < nx) & (cy + dy >= 0) & (cy + dy < ny)
            if not inside.any():
                continue
            middle = self.cells + (dx * ny + dy) * nz
            first = np.searchsorted(self.cells, middle + low)
            end = np.searchsorted(self.cells, middle + high, side="right")
            yield first, np.where(inside, end, first)

    def _coordinates(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        row, cz = np.divmod(self.cells, self._shape[2])
        cx, cy = np.divmod(row, self._shape[1])
        return cx, cy, cz


_NOBODY = (np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.int32), np.empty(0, np.float32))


def _sorted_rows(cells: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the stable order of cells: sorting (cell, row) packed into one integer takes a quarter of an argsort."""
    bits = len(cells).bit_length()
    packed = cells.astype(np.int64) << bits
    packed |= np.arange(len(cells))
    packed.sort()
    return packed & ((1 << bits) - 1)
