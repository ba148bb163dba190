"""Batches to what shards add up: one piece per (lateness, shard), in the form that costs least (`operators.pieces`).

    panes x cells few against the rows      blocks: the batch is reduced onto the grid; sums are shipped, not events
    panes x shards few against the rows     rows: a cell is touched about once, so the events are as small as their sums
    many panes                              tables: the cells touched, sorted

Which of them only changes the cost: the sums are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import MAX_BATCH_EVENTS, Layout
from kernels.backend import Backend
from kernels.errors import ConfigError
from kernels.grid import Grid
from kernels.lateness import START_US
from kernels.panes import Window, base_pane_us
from kernels.schema import Columns
from kernels.shards import ShardMap
from operators.batch import Batch, length, take
from operators.message import Mark, Message
from operators.pieces import Block, Piece
from operators.recent_pairs import RecentPairs
from operators.split import Panes, Split

__all__ = ["Combine", "Group", "Message", "groups_of"]

_DENSE = 4  # blocks while panes x cells <= 4 x rows: clearing and shipping four cells costs about what one event does
_LEAST_RUN = 64  # rows a run: below it the calls cost more than the sort of a table
_KEY_LIMIT = 2**62
_TIME_SPAN_US = 2**53  # what operators.ingest lets through


@dataclass(frozen=True, slots=True)
class Group:
    """The windows of one lateness, which share their partials."""

    lateness_us: int
    pane_us: int
    windows: tuple[Window, ...]

    @property
    def agents(self) -> bool:
        """Whether a window counts distinct agents."""
        return any(w.agents for w in self.windows)


def groups_of(windows: Sequence[Window], cells: int) -> tuple[Group, ...]:
    """Return the windows grouped by lateness.

    Raises
    ------
    ConfigError
        The panes are so short and the cells so many that (pane, cell) does not fit 62 bits.
    """
    found = []
    for lateness_us in sorted({w.lateness_us for w in windows}):
        members = tuple(w for w in windows if w.lateness_us == lateness_us)
        pane_us = base_pane_us(list(members))
        if _TIME_SPAN_US // pane_us * cells >= _KEY_LIMIT:
            names = ", ".join(w.name for w in members)
            raise ConfigError(
                f"windows {names} have panes of {pane_us} us over {cells} cells: too many pairs for 62 bits",
                "Lengthen the slides or make the cells larger",
            )
        found.append(Group(lateness_us, pane_us, members))
    return tuple(found)


class Combine:
    """The step `batch -> (shard, message)`.

    Parameters
    ----------
    grid, shards, layout, groups
        Cells, their shards, the statistics and the windows.
    backend
        Who does the arithmetic.
    """

    def __init__(
        self, grid: Grid, shards: ShardMap, layout: Layout, groups: Sequence[Group], backend: Backend
    ) -> None:
        self._grid, self._layout, self._groups, self._backend = grid, layout, groups, backend
        self._split = Split(grid, shards, layout, backend)
        self._keys = [str(k) for k in range(shards.shards)]
        self._recent = [RecentPairs() if g.agents else None for g in groups]

    def __call__(self, batch: Batch) -> list[tuple[str, Message]]:
        """Return what `batch` tells each shard."""
        return self.many([batch])

    def many(self, batches: Sequence[Batch]) -> list[tuple[str, Message]]:
        """Return what `batches`, of any partitions, tell each shard: one message for all of them.

        A message costs as much as some thousand events, whatever it holds, and between processes several times that.
        """
        pieces: list[list[Piece]] = [[] for _ in self._keys]
        for number, each in enumerate(self._groups):
            sums: dict[int, Block] = {}
            for batch in batches:
                if len(batch):
                    self._group(number, each, batch, pieces, sums)
            _deal(self._split.blocks(number, sums), pieces)
        runs: dict[int, list[Batch]] = {}
        for batch in batches:
            runs.setdefault(batch.partition, []).append(batch)
        marks = tuple(Mark(k, run[-1].watermark_us, run[-1].idle) for k, run in runs.items())
        everyone = any(run[-1].idle or self._crosses(run) for run in runs.values())
        return [
            (key, Message(shard, marks, tuple(own)))
            for shard, (key, own) in enumerate(zip(self._keys, pieces, strict=True))
            if own or everyone
        ]

    def _crosses(self, batches: Sequence[Batch]) -> bool:
        """Whether the partition's watermark passed the edge of a pane: only then can a window close."""
        before_us, after_us = batches[0].before_us, batches[-1].watermark_us
        return any(batch.resumed for batch in batches) or any(
            (before_us - g.lateness_us) // g.pane_us != (after_us - g.lateness_us) // g.pane_us
            for g in self._groups
        )

    def _group(
        self, number: int, each: Group, batch: Batch, pieces: list[list[Piece]], sums: dict[int, Block]
    ) -> None:
        columns, first = batch.columns, None
        if batch.behind_us is None and batch.before_us > START_US:
            # No row lies behind by more than the least lateness: most batches need no look at the times.
            first = (batch.before_us - self._groups[0].lateness_us) // each.pane_us
            first = first if first == batch.watermark_us // each.pane_us else None
        elif batch.behind_us is not None and bool((behind := batch.behind_us > each.lateness_us).any()):
            columns = take(columns, np.flatnonzero(~behind))
        for start in range(0, length(columns), MAX_BATCH_EVENTS):
            own = {name: values[start : start + MAX_BATCH_EVENTS] for name, values in columns.items()}
            self._part(number, _panes(own["time_us"], each.pane_us, first), own, pieces, sums)

    def _part(
        self, number: int, panes: Panes, columns: Columns, pieces: list[list[Piece]], sums: dict[int, Block]
    ) -> None:
        positions = columns["x_m"], columns["y_m"], columns["z_m"]
        values = [columns[m.name] for m in self._layout.metrics]
        recent, dense = self._recent[number], panes.count * self._grid.size <= _DENSE * length(columns)
        if dense and panes.number is None and recent is None:
            self._split.add_pane(sums, panes.first, positions, values)
            return
        cells = self._backend.cells(self._grid, *positions)
        if dense:
            self._split.add(sums, panes, cells, values)
        elif panes.count * len(self._keys) * _LEAST_RUN <= len(cells):
            _deal(self._split.rows(number, panes, cells, values), pieces)
        else:
            _deal(self._split.tables(number, panes, cells, values), pieces)
        if recent is not None:
            # Only what was not just shipped: an agent mostly stays in its cell, so few of the pairs are new.
            key = panes.keyed(cells, self._grid.size).astype(np.int64) + panes.first * self._grid.size
            new = np.flatnonzero(recent.unseen(key, columns["agent_id"]))
            _deal(self._split.pairs(number, panes, key[new], columns["agent_id"][new]), pieces)


def _deal(found: dict[int, Piece], pieces: list[list[Piece]]) -> None:
    for shard, piece in found.items():
        pieces[shard].append(piece)


def _panes(time_us: NDArray[np.int64], pane_us: int, only: int | None) -> Panes:
    """Return the panes of the rows; `only` is the one that all are in, if that is known."""
    if only is not None:
        return Panes(only, 1, None)
    first, last = int(time_us.min()) // pane_us, int(time_us.max()) // pane_us
    if first == last:
        return Panes(first, 1, None)
    if first + 1 == last:
        return Panes(first, 2, time_us >= last * pane_us)  # costs a fifth of a 64-bit division
    return Panes(first, last - first + 1, (time_us - first * pane_us) // pane_us)
