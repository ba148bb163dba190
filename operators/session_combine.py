"""Batches to fragments of sessions: one message a shard of agents, so that what is shipped is summed up first."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kernels.aggregate import MAX_BATCH_EVENTS, Layout
from kernels.backend import Backend
from kernels.fragments import Fragments
from kernels.schema import Columns
from kernels.sessions import Order, SessionWindow, by_agent, chains, shard_bounds
from operators.batch import Batch, take

__all__ = ["SessionCombine", "SessionMessage"]


class SessionMessage(NamedTuple):
    """What one batch tells one shard: fragments by number of the window, and how far the partition has come."""

    shard: int
    partition: int
    watermark_us: int
    idle: bool
    pieces: tuple[tuple[int, Fragments], ...]


class SessionCombine:
    """The step `batch -> (shard, message)`.

    Parameters
    ----------
    windows, layout
        The session windows and the statistics.
    shards
        Number of shards; each is a range of mix64(agent_id).
    backend
        Who does the arithmetic.
    """

    def __init__(
        self, windows: Sequence[SessionWindow], layout: Layout, shards: int, backend: Backend
    ) -> None:
        self._windows, self._layout, self._backend = windows, layout, backend
        self._keys = [str(k) for k in range(shards)]
        self._latenesses = sorted({w.lateness_us for w in windows})

    def __call__(self, batch: Batch) -> Iterator[tuple[str, SessionMessage]]:
        """Yield what `batch` tells each shard."""
        pieces: list[list[tuple[int, Fragments]]] = [[] for _ in self._keys]
        for lateness_us in self._latenesses if len(batch) else ():
            columns = _in_time(batch, lateness_us)
            for first in range(0, len(columns["agent_id"]), MAX_BATCH_EVENTS):
                part = slice(first, first + MAX_BATCH_EVENTS)
                self._part(lateness_us, {name: values[part] for name, values in columns.items()}, pieces)
        everyone = batch.idle or batch.resumed or self._crosses(batch)
        for shard, own in enumerate(pieces):
            if own or everyone:
                message = SessionMessage(shard, batch.partition, batch.watermark_us, batch.idle, tuple(own))
                yield self._keys[shard], message

    def _crosses(self, batch: Batch) -> bool:
        """Whether the partition's watermark passed a tick: only then is a session's end looked for."""
        return any(batch.before_us // w.tick_us != batch.watermark_us // w.tick_us for w in self._windows)

    def _part(self, lateness_us: int, columns: Columns, pieces: list[list[tuple[int, Fragments]]]) -> None:
        """Cut events into the fragments of all windows of a lateness: they share the order, which costs the most."""
        order = by_agent(columns["agent_id"], columns["time_us"])
        for number, window in enumerate(self._windows):
            if window.lateness_us == lateness_us:
                fragments, bounds = self._fragments(order, columns, window.gap_us)
                for own, a, b in zip(pieces, bounds[:-1], bounds[1:], strict=True):
                    if b > a:
                        own.append((number, fragments.between(a, b)))

    def _fragments(self, order: Order, columns: Columns, gap_us: int) -> tuple[Fragments, list[int]]:
        """Return the fragments, and where each shard begins."""
        found = chains(order, columns["time_us"], gap_us)
        size = len(found.first)
        values = [columns[m.name] for m in self._layout.metrics]
        ints, floats = self._backend.reduce(found.fragment, size, values, self._layout)
        agent_id = columns["agent_id"][found.first]
        revision = np.zeros(size, np.int32)
        fragments = Fragments(agent_id, found.start_us, found.last_us, revision, ints, floats)
        return fragments, shard_bounds(found.hashes, len(self._keys))


def _in_time(batch: Batch, lateness_us: int) -> Columns:
    """Return the columns of the events that are not late for a window of that lateness."""
    if batch.behind_us is None:
        return batch.columns
    late = batch.behind_us > lateness_us
    return take(batch.columns, ~late) if late.any() else batch.columns
