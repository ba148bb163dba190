"""The open panes of one shard: partials as they come, joined when it pays, kept until no window can need them.

Two forms side by side, chosen by whoever combined the batch: a *block* is a pane's whole shard as arrays, added in
place; a *table* lists the cells touched, and waits in a run until enough have gathered to be worth a sort.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.table import Table, distinct_pairs, join

__all__ = ["Block", "PaneStore", "Pairs", "Piece"]

_RUN_ROWS = 4096  # rows worth a sort: below it, joining more often costs more than the longer sort


class Block(NamedTuple):
    """The statistics of every cell of a shard in one pane: ints (I, K), floats (F, K), K cells from `first_rank`."""

    pane: int
    first_rank: int
    ints: NDArray[np.int64]
    floats: NDArray[np.float32]

    def add(self, other: "Block") -> None:
        """Add the statistics of `other` to these, in place."""
        np.add(self.ints, other.ints, out=self.ints)
        np.minimum(self.floats[::2], other.floats[::2], out=self.floats[::2])
        np.maximum(self.floats[1::2], other.floats[1::2], out=self.floats[1::2])

    def copy(self) -> "Block":
        """Return a block of its own."""
        return self._replace(ints=self.ints.copy(), floats=self.floats.copy())

    def as_table(self, number: int, cells: int) -> Table:
        """Return the cells touched, keyed as pane or window `number`."""
        touched = np.flatnonzero(self.ints[0])
        key = touched + (number * cells + self.first_rank)
        return Table(key, self.ints[:, touched], self.floats[:, touched])


class Pairs(NamedTuple):
    """Agents seen: (K,) keys `pane * cells + rank`, (K,) agents; pairs may repeat."""

    key: NDArray[np.int64]
    agent_id: NDArray[np.uint64]


class Piece(NamedTuple):
    """What one batch adds to one shard, for the windows of one lateness."""

    group: int
    table: Table | None
    blocks: tuple[Block, ...]
    pairs: Pairs | None


class PaneStore:
    """Panes of one length.

    Parameters
    ----------
    ratio
        Length of a pane in the panes of the pieces.
    cells
        Number of ranks in the world; keys are `pane * cells + rank`.
    shape
        Rows of the `ints` and of the `floats`.
    """

    def __init__(self, ratio: int, cells: int, shape: tuple[int, int]) -> None:
        self._ratio, self._cells = ratio, cells
        self._sorted = Table.empty(*shape)
        self._runs: list[Table] = []
        self._run_rows = 0
        self._blocks: dict[int, Block] = {}
        self._pairs = Pairs(np.empty(0, np.int64), np.empty(0, np.uint64))
        self._new_pairs: list[Pairs] = []
        self._floor: int | None = None

    def add(self, piece: Piece) -> None:
        """Add what a batch brought."""
        for block in piece.blocks:
            self._add_block(block)
        if piece.table is not None and len(piece.table.key):
            self._runs.append(piece.table._replace(key=self._coarsen(piece.table.key)))
            self._run_rows += len(piece.table.key)
            if self._run_rows > max(_RUN_ROWS, len(self._sorted.key)):
                self._join_runs()
        if piece.pairs is not None and len(piece.pairs.key):
            self._new_pairs.append(piece.pairs._replace(key=self._coarsen(piece.pairs.key)))
            if sum(len(p.key) for p in self._new_pairs) > max(_RUN_ROWS, len(self._pairs.key)):
                self._join_pairs()

    def table(self, low_pane: int, high_pane: int) -> Table:
        """Return what came as tables for panes low <= pane < high, sorted by key, each key once."""
        self._join_runs()
        return self._sorted.between(*self._bounds(low_pane, high_pane, self._sorted.key))

    def blocks(self, low_pane: int, high_pane: int) -> list[Block]:
        """Return what came as blocks for panes low <= pane < high."""
        return [block for pane, block in sorted(self._blocks.items()) if low_pane <= pane < high_pane]

    def pairs(self, low_pane: int, high_pane: int) -> Pairs:
        """Return the distinct pairs of panes low <= pane < high, sorted."""
        self._join_pairs()
        low, high = self._bounds(low_pane, high_pane, self._pairs.key)
        first, last = np.searchsorted(self._pairs.key, [low, high])
        return Pairs(self._pairs.key[first:last], self._pairs.agent_id[first:last])

    def panes(self, piece: Piece) -> set[int]:
        """Return the numbers of the panes that `piece` touches."""
        touched = {b.pane // self._ratio for b in piece.blocks}
        if piece.table is not None:
            touched.update(np.unique(self._coarsen(piece.table.key) // self._cells).tolist())
        return touched

    def forget_late(self, piece: Piece) -> tuple[int, Piece]:
        """Return how many events of `piece` belong to panes already dropped, and the rest of it."""
        if self._floor is None:
            return 0, piece
        blocks = tuple(b for b in piece.blocks if b.pane // self._ratio >= self._floor)
        forgotten = sum(int(b.ints[0].sum()) for b in piece.blocks if b.pane // self._ratio < self._floor)
        table, pairs = piece.table, piece.pairs
        if table is not None:
            old = table.key // (self._cells * self._ratio) < self._floor
            forgotten += int(table.ints[0, old].sum())
            table = table.at(np.flatnonzero(~old))
        if pairs is not None:
            kept = pairs.key // (self._cells * self._ratio) >= self._floor
            pairs = Pairs(pairs.key[kept], pairs.agent_id[kept])
        return forgotten, Piece(piece.group, table, blocks, pairs)

    def drop(self, below_pane: int) -> None:
        """Forget the panes below a number; they take no more events."""
        self._floor = below_pane if self._floor is None else max(self._floor, below_pane)
        self._blocks = {p: b for p, b in self._blocks.items() if p >= below_pane}
        self._join_runs()
        first = self._cut(self._sorted.key, below_pane)
        if first:
            # A copy: a view would keep the memory of what is forgotten.
            self._sorted = Table._make(a[..., first:].copy() for a in self._sorted)
        self._join_pairs()
        first = self._cut(self._pairs.key, below_pane)
        if first:
            self._pairs = Pairs._make(a[first:].copy() for a in self._pairs)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data."""
        self._join_runs()
        self._join_pairs()
        return {
            "sorted": list(self._sorted),
            "pairs": list(self._pairs),
            "blocks": [list(b) for b in self._blocks.values()],
            "floor": self._floor,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state that `snapshot` returned."""
        self._sorted, self._pairs = Table(*state["sorted"]), Pairs(*state["pairs"])
        self._blocks = {b[0]: Block(*b) for b in state["blocks"]}
        self._floor = state["floor"]

    def _coarsen(self, key: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._ratio == 1:
            return key
        pane, rank = np.divmod(key, self._cells)
        return pane // self._ratio * self._cells + rank

    def _add_block(self, block: Block) -> None:
        pane = block.pane // self._ratio
        into = self._blocks.get(pane)
        if into is None:
            self._blocks[pane] = block.copy()._replace(pane=pane)
            return
        into.add(block)

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

