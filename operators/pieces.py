"""What a batch tells a shard, in three forms that add up to the same integers; the cheapest is sent.

A *block* is a whole shard of one pane, reduced; *rows* are the events themselves, split by shard; a *table* lists the
cells touched in any number of panes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import merge
from kernels.table import Table

__all__ = ["Block", "Pairs", "Piece", "Rows"]


class Block(NamedTuple):
    """The statistics of every cell of a shard in one pane: ints (I, K), floats (F, K), K cells from `first_rank`."""

    pane: int
    first_rank: int
    ints: NDArray[np.int64]
    floats: NDArray[np.float32]

    def add(self, other: "Block") -> None:
        """Add the statistics of `other` to these, in place."""
        np.add(self.ints, other.ints, out=self.ints)
        if len(self.floats):
            np.minimum(self.floats[::2], other.floats[::2], out=self.floats[::2])
            np.maximum(self.floats[1::2], other.floats[1::2], out=self.floats[1::2])

    def add_table(self, table: Table, cells: int) -> None:
        """Add rows of one pane or window, in place; each of its keys stands there once."""
        merge(self.ints, self.floats, table.key % cells - self.first_rank, table.ints, table.floats)

    def copy(self) -> "Block":
        """Return a block of its own."""
        return self._replace(ints=self.ints.copy(), floats=self.floats.copy())

    def touched(self) -> Table:
        """Return the cells with events, keyed by rank; copies, since a block may go on growing."""
        rows = np.flatnonzero(self.ints[0] != 0)  # of bool: a third of the time
        if len(rows) == self.ints.shape[1]:
            return Table(rows + self.first_rank, self.ints.copy(), self.floats.copy())  # without a gather
        return Table(rows + self.first_rank, self.ints.take(rows, axis=1), self.floats.take(rows, axis=1))


class Rows(NamedTuple):
    """N events of one pane: (N,) their cells, counted from the first of the shard, and (N,) values of each metric."""

    pane: int
    cell: NDArray[np.int32]
    values: tuple[NDArray[np.float32], ...]


class Pairs(NamedTuple):
    """Agents seen: (K,) keys `pane * cells + rank`, (K,) agents; pairs may repeat."""

    key: NDArray[np.int64]
    agent_id: NDArray[np.uint64]


class Piece(NamedTuple):
    """What one batch adds to one shard, for the windows of one lateness."""

    group: int
    first_pane: int  # no pane of the piece is before it
    table: Table | None = None
    blocks: tuple[Block, ...] = ()
    rows: tuple[Rows, ...] = ()
    pairs: Pairs | None = None

    def panes(self, cells: int) -> set[int]:
        """Return the numbers of the panes touched."""
        touched = {b.pane for b in self.blocks} | {r.pane for r in self.rows}
        if self.table is not None:
            touched.update(np.unique(self.table.key // cells).tolist())
        return touched

    def split(self, pane: int, cells: int) -> "tuple[int, Piece]":
        """Return how many events lie in panes below `pane`, and the rest of them."""
        gone = sum(int(b.ints[0].sum()) for b in self.blocks if b.pane < pane)
        gone += sum(len(r.cell) for r in self.rows if r.pane < pane)
        table, pairs = self.table, self.pairs
        if table is not None:
            old = table.key // cells < pane
            gone += int(table.ints[0, old].sum())
            table = table.at(np.flatnonzero(~old))
        if pairs is not None:
            kept = pairs.key // cells >= pane
            pairs = Pairs(pairs.key[kept], pairs.agent_id[kept])
        blocks = tuple(b for b in self.blocks if b.pane >= pane)
        rows = tuple(r for r in self.rows if r.pane >= pane)
        return gone, Piece(self.group, self.first_pane, table, blocks, rows, pairs)
