"""A batch split by shard, in each of the three forms of `operators.pieces`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import Layout
from kernels.backend import Backend
from kernels.grid import Grid
from kernels.group import group
from kernels.shards import ShardMap
from kernels.table import Table
from operators.pieces import Block, Pairs, Piece, Rows

__all__ = ["Panes", "Split"]

Values = Sequence[NDArray[np.float32]]
Positions = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Panes:
    """The panes of N rows: the first, how many, and (N,) how far from the first each row's is; None if `count` is 1."""

    first: int
    count: int
    number: NDArray[np.bool_] | NDArray[np.int64] | None

    def keyed(self, rows: NDArray[np.integer], size: int) -> NDArray[Any]:
        """Return (N,) `number * size + rows`, for rows below `size`."""
        if self.number is None:
            return rows
        dtype = np.int32 if self.count * size < 2**31 else np.int64
        index: NDArray[Any] = np.multiply(self.number, size, dtype=dtype, casting="unsafe")
        index += rows
        return index


class Split:
    """Splits batches by shard.

    Parameters
    ----------
    grid, shards, layout
        Cells, their shards and the statistics.
    backend
        Who does the arithmetic.
    """

    def __init__(self, grid: Grid, shards: ShardMap, layout: Layout, backend: Backend) -> None:
        self._grid, self._shards, self._layout, self._backend = grid, shards, layout, backend
        self._slices = [shards.slice(k) for k in range(shards.shards)]
        self._starts = np.array(shards.boundaries[:-1])

    def add(self, sums: dict[int, Block], panes: Panes, cells: NDArray[np.int32], values: Values) -> None:
        """Add rows to sums over the whole grid by pane, in the order of the cells."""
        size = self._grid.size
        index = panes.keyed(cells, size)
        ints, floats = self._backend.reduce(index, panes.count * size, values, self._layout)
        for i in range(panes.count):
            part = slice(i * size, (i + 1) * size)
            _add(sums, Block(panes.first + i, 0, ints[:, part], floats[:, part]))

    def add_pane(self, sums: dict[int, Block], pane: int, positions: Positions, values: Values) -> None:
        """Add rows of one pane, whose cells nothing else needs."""
        ints, floats = self._backend.grid_sums(self._grid, positions, values, self._layout)
        _add(sums, Block(pane, 0, ints, floats))

    def blocks(self, group_number: int, sums: dict[int, Block]) -> dict[int, Piece]:
        """Return the sums as pieces of blocks."""
        found: dict[int, list[Block]] = {}
        for pane, block in sums.items():
            ints = block.ints.take(self._order, axis=1)
            floats = block.floats.take(self._order, axis=1)
            counts = np.add.reduceat(ints[0], self._starts)
            for shard in np.flatnonzero(counts).tolist():
                own = self._slices[shard]
                found.setdefault(shard, []).append(Block(pane, own.start, ints[:, own], floats[:, own]))
        first = min(sums, default=0)
        return {shard: Piece(group_number, first, blocks=tuple(blocks)) for shard, blocks in found.items()}

    def rows(
        self, group_number: int, panes: Panes, cells: NDArray[np.int32], values: Values
    ) -> dict[int, Piece]:
        """Return pieces of rows."""
        # A stable sort of uint8 costs 1.7 ns an event, of uint16 7 ns, of int64 66 ns.
        run = panes.keyed(self._shard_of_cell.take(cells), self._shards.shards)
        runs = panes.count * self._shards.shards
        run = run.astype(np.uint8 if runs <= 256 else np.uint16 if runs <= 65_536 else np.int64, copy=False)
        order = np.argsort(run, kind="stable")
        # After the sort: neighbours in a shard are neighbours in this table.
        cell = self._cell_in_shard.take(cells.take(order).astype(np.intp))
        ordered = [column.take(order) for column in values]
        ends = np.cumsum(np.bincount(run, minlength=runs)).tolist()
        found: dict[int, list[Rows]] = {}
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if start < end:
                pane, shard = divmod(number, self._shards.shards)
                own = Rows(
                    panes.first + pane, cell[start:end], tuple(column[start:end] for column in ordered)
                )
                found.setdefault(shard, []).append(own)
        return {shard: Piece(group_number, panes.first, rows=tuple(rows)) for shard, rows in found.items()}

    def tables(
        self, group_number: int, panes: Panes, cells: NDArray[np.int32], values: Values
    ) -> dict[int, Piece]:
        """Return pieces of tables."""
        keys, inverse = group(panes.keyed(cells, self._grid.size))
        ints, floats = self._backend.reduce(inverse, len(keys), values, self._layout)
        key, shard = self._ranked(keys + panes.first * self._grid.size)
        order = np.lexsort((key, shard))
        table = Table(key.take(order), ints.take(order, axis=1), floats.take(order, axis=1))
        return {
            k: Piece(group_number, panes.first, table.at(part))
            for k, part in self._parts(shard.take(order)).items()
        }

    def pairs(
        self, group_number: int, panes: Panes, key: NDArray[np.int64], agent_id: NDArray[np.uint64]
    ) -> dict[int, Piece]:
        """Return pieces of pairs; `key` is (K,) `pane * cells + cell`."""
        key, shard = self._ranked(key)
        order = np.argsort(
            shard.astype(np.uint16 if self._shards.shards <= 65_536 else np.int32), kind="stable"
        )
        key, agent_id = key.take(order), agent_id.take(order)
        return {
            k: Piece(group_number, panes.first, pairs=Pairs(key[part], agent_id[part]))
            for k, part in self._parts(shard.take(order)).items()
        }

    def _ranked(self, key: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return `pane * cells + rank` and the shard of each `pane * cells + cell`."""
        pane = key // self._grid.size
        rank = self._backend.ranks(self._grid, (key - pane * self._grid.size).astype(np.int32))
        return pane * self._grid.size + rank, self._backend.shard_of(self._shards, rank)

    def _parts(self, shard: NDArray[np.int32]) -> dict[int, slice]:
        """Return the rows of each shard that has any; `shard` is sorted."""
        bounds = np.searchsorted(shard, np.arange(self._shards.shards + 1)).tolist()
        return {k: slice(a, b) for k, (a, b) in enumerate(pairwise(bounds)) if a < b}

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        """(C,) the cell at each rank; intp, which numpy reads without a conversion."""
        return self._grid.morton_order.astype(np.intp)

    @cached_property
    def _shard_of_cell(self) -> NDArray[Any]:
        """(C,) the shard of each cell, a byte each if that will do: 1 MB of table a million cells."""
        shard = self._backend.shard_of(self._shards, self._grid.morton_rank)
        return shard.astype(np.uint8 if self._shards.shards <= 256 else np.int32)

    @cached_property
    def _cell_in_shard(self) -> NDArray[np.int32]:
        """(C,) the rank of each cell, counted from the first of its shard."""
        rank = self._backend.ranks(self._grid, np.arange(self._grid.size, dtype=np.int32))
        first: NDArray[np.int32] = np.array(self._shards.boundaries, np.int32)[self._shard_of_cell]
        return rank - first


def _add(sums: dict[int, Block], own: Block) -> None:
    if own.pane in sums:
        sums[own.pane].add(own)
    else:
        sums[own.pane] = own
