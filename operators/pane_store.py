"""The open panes of one shard: partials as they come, joined when it pays, kept until no window can need them.

Events wait as *loose* rows until there are enough to go through the shard's cells once. Then their pane is a *block*,
arrays over the whole shard that are added to in place, if an eighth of the cells could have been touched; what is less,
and what came as tables, is listed by cell in a sorted *table*. The forms of a pane add up.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import MAX_BATCH_EVENTS, Layout, reduce
from kernels.group import group
from kernels.lateness import END_US, START_US
from kernels.narrow import narrow, widen
from kernels.table import Table, distinct_pairs, join
from operators.blocks import Blocks
from operators.pieces import Pairs, Piece, Rows

__all__ = ["PaneStore"]

_RUN_ROWS = 4096  # rows worth a sort: below it, joining more often costs more than the longer sort
_SHARE = 8  # a cell of a block is as large as a row of a table, and adding to it needs no sort
# So many events wait at most, for half as many cells: 125,000 cells of 3 integers are 3 MB, and brought into the cache
# for 8,000 events at a time they cost 24 ns an event; for 62,500 at a time 9 ns.
_LOOSE_ROWS = 65_536


class PaneStore:
    """Panes of one length.

    Parameters
    ----------
    ratio
        Length of a pane in the panes of the pieces.
    cells
        Number of ranks in the world; keys are `pane * cells + rank`.
    ranks
        Those of the shard.
    layout
        The statistics.
    """

    def __init__(self, ratio: int, cells: int, ranks: slice, layout: Layout) -> None:
        self._ratio, self._cells, self._layout = ratio, cells, layout
        self._first_rank, self._size = ranks.start, ranks.stop - ranks.start
        self.blocks = Blocks(ranks, layout)
        self._loose: dict[int, list[Rows]] = {}
        self._brought: dict[int, int] = {}
        self._sorted = Table.empty(layout.int_rows, layout.float_rows)
        self._runs: list[Table] = []
        self._run_rows = 0
        self._pairs = Pairs(np.empty(0, np.int64), np.empty(0, np.uint64))
        self._new_pairs: list[Pairs] = []
        self._floor: int | None = None

    def add(self, piece: Piece) -> None:
        """Add what a batch brought."""
        for block in piece.blocks:
            self.blocks.add(block.pane // self._ratio, block)
        for rows in piece.rows:
            self._add_rows(rows.pane // self._ratio, rows)
        if piece.table is not None and len(piece.table.key):
            self._add_run(piece.table._replace(key=self._coarsen(piece.table.key)))
        if piece.pairs is not None and len(piece.pairs.key):
            self._new_pairs.append(piece.pairs._replace(key=self._coarsen(piece.pairs.key)))
            if sum(len(p.key) for p in self._new_pairs) > max(_RUN_ROWS, len(self._pairs.key)):
                self._join_pairs()

    def table(self, low_pane: int, high_pane: int) -> Table:
        """Put panes low <= pane < high in order; return what is not in their blocks, sorted by key, each key once."""
        self._settle(low_pane, high_pane)
        return self._sorted.between(*self._bounds(low_pane, high_pane, self._sorted.key))

    def pairs(self, low_pane: int, high_pane: int) -> Pairs:
        """Return the distinct pairs of panes low <= pane < high, sorted."""
        self._join_pairs()
        low, high = self._bounds(low_pane, high_pane, self._pairs.key)
        first, last = np.searchsorted(self._pairs.key, [low, high])
        return Pairs(self._pairs.key[first:last], self._pairs.agent_id[first:last])

    def panes(self, piece: Piece) -> set[int]:
        """Return the numbers of the panes that `piece` touches."""
        return {pane // self._ratio for pane in piece.panes(self._cells)}

    def forget_late(self, piece: Piece) -> tuple[int, Piece]:
        """Return how many events of `piece` belong to panes already dropped, and the rest of it."""
        if self._floor is None:
            return 0, piece
        return piece.split(self._floor * self._ratio, self._cells)

    def drop(self, below_pane: int) -> None:
        """Forget the panes below a number; they take no more events."""
        if self._floor is not None and below_pane <= self._floor:
            return
        self._floor = below_pane
        self.blocks.drop(below_pane)
        self._loose = {p: rows for p, rows in self._loose.items() if p >= below_pane}
        self._brought = {p: n for p, n in self._brought.items() if p >= below_pane}
        self._join_runs()
        # Copies: a view would keep the memory of what is forgotten.
        if first := self._cut(self._sorted.key, below_pane):
            self._sorted = Table._make(a[..., first:].copy() for a in self._sorted)
        self._join_pairs()
        if first := self._cut(self._pairs.key, below_pane):
            self._pairs = Pairs._make(a[first:].copy() for a in self._pairs)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data."""
        self._settle()
        self._join_pairs()
        key, ints, floats = self._sorted
        return {
            "sorted": [key, narrow(ints), floats],
            "pairs": list(self._pairs),
            "blocks": self.blocks.snapshot(),
            "floor": self._floor,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state that `snapshot` returned."""
        key, ints, floats = state["sorted"]
        self._sorted, self._pairs = Table(key, widen(ints, len(key)), floats), Pairs(*state["pairs"])
        self.blocks.restore(state["blocks"])
        self._floor = state["floor"]

    def _coarsen(self, key: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._ratio == 1:
            return key
        pane, rank = np.divmod(key, self._cells)
        return pane // self._ratio * self._cells + rank

    def _add_rows(self, pane: int, rows: Rows) -> None:
        self._brought[pane] = self._brought.get(pane, 0) + len(rows.cell)
        loose = self._loose.setdefault(pane, [])
        loose.append(rows)
        if 2 * sum(len(each.cell) for each in loose) >= min(self._size, 2 * _LOOSE_ROWS):
            self._put_away(pane)

    def _settle(self, low_pane: int = START_US, high_pane: int = END_US) -> None:
        """Put panes low <= pane < high into blocks and the sorted table."""
        for pane in [pane for pane in self._loose if low_pane <= pane < high_pane]:
            self._put_away(pane)
        self._join_runs()

    def _put_away(self, pane: int) -> None:
        """Put the loose rows of a pane into its block or a table."""
        loose = self._loose.pop(pane)
        cell = np.concatenate([rows.cell for rows in loose])
        values = [np.concatenate(column) for column in zip(*(rows.values for rows in loose), strict=True)]
        dense = pane in self.blocks or self._size <= _SHARE * min(self._brought[pane], _LOOSE_ROWS)
        for first in range(0, len(cell), MAX_BATCH_EVENTS):
            part = slice(first, first + MAX_BATCH_EVENTS)
            own = Rows(pane, cell[part], tuple(column[part] for column in values))
            if dense:
                self.blocks.add_rows(own)
            else:
                self._list(own)

    def _list(self, rows: Rows) -> None:
        """Add events to the table."""
        found, inverse = group(rows.cell, self._size)
        ints, floats = reduce(inverse, len(found), rows.values, self._layout)
        self._add_run(Table(found + (rows.pane * self._cells + self._first_rank), ints, floats))

    def _add_run(self, run: Table) -> None:
        self._runs.append(run)
        self._run_rows += len(run.key)
        if self._run_rows > max(_RUN_ROWS, len(self._sorted.key)):
            self._join_runs()

    def _join_runs(self) -> None:
        if self._runs:
            self._sorted = join([self._sorted, *self._runs])
            self._runs, self._run_rows = [], 0

    def _join_pairs(self) -> None:
        if self._new_pairs:
            columns = zip(self._pairs, *self._new_pairs, strict=True)
            self._pairs = Pairs(*distinct_pairs(*(np.concatenate(column) for column in columns)))
            self._new_pairs = []

    def _bounds(self, low_pane: int, high_pane: int, key: NDArray[np.int64]) -> tuple[int, int]:
        """Return the panes as keys, held to those in `key`: an open end times the cells would not fit int64."""
        if not len(key):
            return 0, 0
        least, most = int(key[0]), int(key[-1]) + 1
        return tuple(min(max(pane * self._cells, least), most) for pane in (low_pane, high_pane))  # type: ignore[return-value]

    def _cut(self, key: NDArray[np.int64], below_pane: int) -> int:
        return int(np.searchsorted(key, self._bounds(below_pane, below_pane, key)[0]))
