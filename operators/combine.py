"""Batches to partials: one piece per (lateness, shard), so that sums are shipped and not events.

A batch whose panes and cells are few against its rows is reduced onto the whole grid (blocks), any other onto the cells
it touches (tables). Which of the two only changes the cost: the sums are exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import MAX_BATCH_EVENTS, Layout
from kernels.group import group
from kernels.backend import Backend
from kernels.errors import ConfigError
from kernels.grid import Grid
from kernels.panes import Window, base_pane_us
from kernels.shards import ShardMap
from kernels.table import Table
from operators.batch import Batch, take
from operators.pane_store import Block, Pairs, Piece
from operators.recent_pairs import RecentPairs

__all__ = ["Combine", "Group", "Message", "groups_of"]

_DENSE = 4  # blocks while panes x cells <= 4 x rows: clearing and shipping four cells costs about what one event does
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


class Message(NamedTuple):
    """What one batch tells one shard: its pieces, and how far the partition has come."""

    shard: int
    partition: int
    watermark_us: int
    idle: bool
    pieces: tuple[Piece, ...]


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
        self._grid, self._shards, self._layout, self._groups, self._backend = grid, shards, layout, groups, backend
        self._keys = [str(k) for k in range(shards.shards)]
        self._recent = [RecentPairs() if g.agents else None for g in groups]

    def __call__(self, batch: Batch) -> Iterator[tuple[str, Message]]:
        """Yield what `batch` tells each shard."""
        pieces: list[list[Piece]] = [[] for _ in self._keys]
        if len(batch):
            columns = batch.columns
            cells = self._backend.cells(self._grid, columns["x_m"], columns["y_m"], columns["z_m"])
            for number, each in enumerate(self._groups):
                self._group(number, each, batch, cells, pieces)
        everyone = batch.idle or self._crosses(batch)
        for shard, own in enumerate(pieces):
            if own or everyone:
                yield self._keys[shard], Message(shard, batch.partition, batch.watermark_us, batch.idle, tuple(own))

    def _crosses(self, batch: Batch) -> bool:
        """Whether the partition's watermark passed the edge of a pane: only then can a window close."""
        return batch.resumed or any(
            (batch.before_us - g.lateness_us) // g.pane_us != (batch.watermark_us - g.lateness_us) // g.pane_us
            for g in self._groups
        )

    def _group(
        self, number: int, each: Group, batch: Batch, cells: NDArray[np.int32], pieces: list[list[Piece]]
    ) -> None:
        columns = batch.columns
        if batch.behind_us is not None and bool((behind := batch.behind_us > each.lateness_us).any()):
            kept = np.flatnonzero(~behind)
            columns, cells = take(columns, kept), cells[kept]
        for first in range(0, len(cells), MAX_BATCH_EVENTS):
            part = slice(first, first + MAX_BATCH_EVENTS)
            self._part(number, each, take(columns, part), cells[part], pieces)  # type: ignore[arg-type]

    def _part(
        self, number: int, each: Group, columns: dict[str, NDArray[Any]], cells: NDArray[np.int32], pieces: list[list[Piece]]
    ) -> None:
        first_pane, count, index = _pane_index(columns["time_us"], each.pane_us, cells, self._grid.size)
        values = [columns[m.name] for m in self._layout.metrics]
        if count * self._grid.size <= _DENSE * len(cells):
            found = self._blocks(first_pane, count, index, values)
        else:
            found = self._tables(first_pane, index, values)
        pairs = self._pairs(number, first_pane, index, columns["agent_id"])
        for shard, own in enumerate(pieces):
            table, blocks = found[shard]
            if table is not None or blocks or (pairs is not None and len(pairs[shard].key)):
                own.append(Piece(number, table, blocks, None if pairs is None else pairs[shard]))

    def _blocks(
        self, first_pane: int, count: int, index: NDArray[Any], values: list[NDArray[np.float32]]
    ) -> list[tuple[Table | None, tuple[Block, ...]]]:
        cells, order = self._grid.size, self._grid.morton_order
        ints, floats = self._backend.reduce(index, count * cells, values, self._layout)
        by_rank = [
            (first_pane + i, ints[:, i * cells : (i + 1) * cells][:, order], floats[:, i * cells : (i + 1) * cells][:, order])
            for i in range(count)
        ]
        shards = [self._shards.slice(k) for k in range(self._shards.shards)]
        return [
            (None, tuple(Block(p, own.start, i[:, own], f[:, own]) for p, i, f in by_rank if i[0, own].any()))
            for own in shards
        ]

    def _tables(
        self, first_pane: int, index: NDArray[Any], values: list[NDArray[np.float32]]
    ) -> list[tuple[Table | None, tuple[Block, ...]]]:
        keys, inverse = group(index)
        ints, floats = self._backend.reduce(inverse, len(keys), values, self._layout)
        key, order, bounds = self._by_shard(first_pane, keys)
        table = Table(key, ints[:, order], floats[:, order])
        return [
            (table.at(slice(a, b)) if b > a else None, ()) for a, b in zip(bounds[:-1], bounds[1:], strict=True)
        ]

    def _pairs(
        self, number: int, first_pane: int, index: NDArray[Any], agent_id: NDArray[np.uint64]
    ) -> list[Pairs] | None:
        recent = self._recent[number]
        if recent is None:
            return None
        # Only what the cache has not just seen: an agent mostly stays in its cell, so few of the pairs are new.
        new = recent.unseen(index.astype(np.int64) + first_pane * self._grid.size, agent_id)
        key, order, bounds = self._by_shard(first_pane, index[new].astype(np.int64))
        agents = agent_id[new][order]
        return [Pairs(key[a:b], agents[a:b]) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]

    def _by_shard(
        self, first_pane: int, index: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.intp], list[int]]:
        """Return keys `pane * cells + rank` sorted by (shard, key), the order, and where each shard begins."""
        pane, cell = np.divmod(index, self._grid.size)
        rank = self._backend.ranks(self._grid, cell.astype(np.int32)).astype(np.int64)
        shard = self._backend.shard_of(self._shards, rank.astype(np.int32))
        key = (pane + first_pane) * self._grid.size + rank
        order = np.lexsort((key, shard))
        bounds = np.searchsorted(shard[order], np.arange(self._shards.shards + 1))
        return key[order], order, bounds.tolist()


def _pane_index(
    time_us: NDArray[np.int64], pane_us: int, cells: NDArray[np.int32], size: int
) -> tuple[int, int, NDArray[Any]]:
    """Return the first pane, the number of panes and each row's index `(pane - first) * size + cell`."""
    first, last = int(time_us.min()) // pane_us, int(time_us.max()) // pane_us
    count = last - first + 1
    if count == 1:
        return first, 1, cells
    if count == 2:
        # A comparison costs a fifth of a 64-bit division.
        pane: NDArray[Any] = (time_us >= last * pane_us).astype(np.int32)
    else:
        pane = (time_us - first * pane_us) // pane_us
    index: NDArray[Any] = pane.astype(np.int32 if count * size < 2**31 else np.int64, copy=False)
    return first, count, index * size + cells
