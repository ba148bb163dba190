"""The windows of one shard: merge partials, close on the watermark, amend what was closed without an idle partition.

    watermark           least of all partitions that are not idle; it never falls
    a window closes     when the watermark passes its end plus its lateness: revision 0
    a window is amended when a partition that was idle brings events for it: the whole of it again, revision + 1
    a pane is forgotten when no partition can add to it (their least, idle ones included, passed its last window), or
                        when the watermark is `horizon` past that; what comes later still is late

So the last revision of each window is a function of the events alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from kernels.aggregate import Layout
from kernels.lateness import START_US
from kernels.panes import Window
from kernels.shards import ShardMap
from operators.batch import Tally
from operators.closing import Closed, close, last_start, revisions_of
from operators.combine import Group
from operators.message import Message
from operators.pane_store import PaneStore
from operators.pieces import Piece
from operators.small_cells import Small
from operators.state import pack, unpack

__all__ = ["Closed", "ShardWindows", "WindowConfig"]

_VERSION = 2


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """What the windows of a shard need to know.

    Parameters
    ----------
    groups
        The windows by lateness.
    partitions
        Source partitions; all must pass a window's end.
    shards
        The ranks of each shard.
    layout
        The statistics.
    horizon_us
        How long after its close a window can be amended, in event time.
    small
        Which cells are merged with their neighbours; None: none.
    """

    groups: tuple[Group, ...]
    partitions: int
    shards: ShardMap
    layout: Layout
    horizon_us: int
    small: Small | None = None


class _Panes(NamedTuple):
    """The panes of one length of a group, and the windows made of them."""

    store: PaneStore
    windows: tuple[Window, ...]


class ShardWindows:
    """The windows of one shard, without an engine.

    Parameters
    ----------
    config
        The windows.
    state
        What `snapshot` returned, or None at the start.
    """

    def __init__(self, config: WindowConfig, state: bytes | None = None) -> None:
        self._config, self._cells = config, config.shards.size
        self._shard = -1  # messages say which shard this is
        self._watermarks = [START_US] * config.partitions
        self._idle = [False] * config.partitions
        self._watermark_us = START_US
        self._panes: tuple[tuple[_Panes, ...], ...] = ()  # by group
        self._next_final_us = START_US
        self._look_ahead()
        self._revisions: dict[str, dict[int, int]] = {w.name: {} for g in config.groups for w in g.windows}
        if state is not None:
            self._restore(unpack("windows", _VERSION, state))

    def on_messages(self, messages: Iterable[Message]) -> list[Closed | Tally]:
        """Take what batches told this shard; return the windows that closed or changed."""
        amended: dict[str, set[int]] = {}
        forgotten = 0
        for message in messages:
            if self._shard < 0:
                self._open(message.shard)
            for piece in message.pieces:
                forgotten += self._add(piece, amended)
            for partition, watermark_us, idle in message.marks:
                self._watermarks[partition], self._idle[partition] = watermark_us, idle
        found: list[Closed | Tally] = [Tally(windowed=-forgotten, late=forgotten)] if forgotten else []
        for panes in (p for group in self._panes for p in group if amended):
            for window in panes.windows:
                found += self._amend(panes.store, window, amended.get(window.name, set()))
        return found + self._advance()

    def snapshot(self) -> bytes:
        """Return the state as plain data."""
        state = {
            "shard": self._shard,
            "watermarks": self._watermarks,
            "idle": self._idle,
            "watermark_us": self._watermark_us,
            "stores": [[panes.store.snapshot() for panes in group] for group in self._panes],
            "revisions": self._revisions,
        }
        return pack("windows", _VERSION, state)

    def _restore(self, state: dict[str, Any]) -> None:
        known = len(state["watermarks"])  # partitions may have been added since
        self._watermarks[:known], self._idle[:known] = state["watermarks"], state["idle"]
        self._watermark_us, self._revisions = state["watermark_us"], state["revisions"]
        self._look_ahead()
        self._open(state["shard"])
        for group, saved in zip(self._panes, state["stores"], strict=True):
            for panes, each in zip(group, saved, strict=True):
                panes.store.restore(each)

    def _open(self, shard: int) -> None:
        """Become the windows of `shard`."""
        self._shard = shard
        ranks, layout = self._config.shards.slice(shard), self._config.layout
        self._panes = tuple(
            tuple(
                _Panes(
                    PaneStore(pane_us // group.pane_us, self._cells, ranks, layout),
                    tuple(w for w in group.windows if w.pane_us == pane_us),
                )
                for pane_us in sorted({w.pane_us for w in group.windows})
            )
            for group in self._config.groups
        )

    def _add(self, piece: Piece, amended: dict[str, set[int]]) -> int:
        """Add a piece; note the closed windows that it changes; return how many of its events came past the horizon."""
        behind = piece.first_pane * self._config.groups[piece.group].pane_us <= self._covered_us[piece.group]
        forgotten = 0
        for panes in self._panes[piece.group]:
            kept = piece
            if behind:
                forgotten_here, kept = panes.store.forget_late(piece)
                # Every event is in the group of the greatest lateness, so its last store counts each once.
                forgotten += forgotten_here if panes is self._panes[-1][-1] else 0
                for window in panes.windows:
                    closed = (s for pane in panes.store.panes(kept) for s in window.starts(pane))
                    changed = {s for s in closed if window.closes_us(s) <= self._watermark_us}
                    amended.setdefault(window.name, set()).update(changed)
            panes.store.add(kept)
        return forgotten

    def _look_ahead(self) -> None:
        """Note what the windows closed so far cover, by group, and the watermark at which the next one closes."""
        groups, now_us = self._config.groups, self._watermark_us
        self._covered_us = [max(last_start(w, now_us) + w.length_us - 1 for w in g.windows) for g in groups]
        self._next_close_us = min(_next_closes_us(w, now_us) for g in groups for w in g.windows)

    def _amend(self, store: PaneStore, window: Window, starts: set[int]) -> list[Closed]:
        revisions = self._revisions[window.name]
        for start_us in sorted(starts):
            revisions[start_us] = revisions.get(start_us, 0) + 1
        return [c for s in sorted(starts) for c in self._close(store, window, s, s)]

    def _advance(self) -> list[Closed]:
        """Move the watermark; close what it passes; forget what no partition can add to."""
        awake = [t for t, idle in zip(self._watermarks, self._idle, strict=True) if not idle]
        before_us, now_us = self._watermark_us, max(self._watermark_us, min(awake, default=START_US))
        if now_us == before_us:
            return []
        self._watermark_us = now_us
        found = []
        if now_us >= self._next_close_us:
            for panes in (p for group in self._panes for p in group):
                for window in panes.windows:
                    first_us, last_us = (last_start(window, at_us) for at_us in (before_us, now_us))
                    found += self._close(panes.store, window, first_us + window.slide_us, last_us)
            self._look_ahead()
        final_us = max(min(self._watermarks), now_us - self._config.horizon_us)
        if final_us >= self._next_final_us:
            self._forget(final_us)
        return found

    def _close(self, store: PaneStore, window: Window, first_us: int, last_us: int) -> list[Closed]:
        """Return the windows that start at first_us to last_us and hold events."""
        revisions = self._revisions[window.name]
        sums = close(store, window, first_us, last_us, cells=self._cells, small=self._config.small)
        return [
            Closed(
                self._shard,
                window.name,
                *each[:-1],
                revisions_of(each.start_us, revisions),
                merged=each.merged,
            )
            for each in sums
        ]

    def _forget(self, final_us: int) -> None:
        """Drop the panes of windows that are final at `final_us`."""
        self._next_final_us = min(
            _next_closes_us(w, final_us) for g in self._config.groups for w in g.windows
        )
        floors: list[tuple[PaneStore, int, int]] = []
        for panes in (p for group in self._panes for p in group):
            firsts_us = [last_start(w, final_us) + w.slide_us for w in panes.windows]
            floors.append((panes.store, panes.windows[0].pane_us, min(firsts_us)))
            for window, first_us in zip(panes.windows, firsts_us, strict=True):
                if old := [s for s in self._revisions[window.name] if s < first_us]:
                    for start in old:
                        del self._revisions[window.name][start]
        # One store of the greatest lateness outlives all, so that what this one no longer takes is in no window at all.
        store, pane_us, _ = floors[-1]
        floors[-1] = store, pane_us, min(first_us for _, _, first_us in floors)
        for store, pane_us, first_us in floors:
            store.drop(first_us // pane_us)


def _next_closes_us(window: Window, watermark_us: int) -> int:
    """Return the watermark that closes the first window still open at `watermark_us`."""
    return window.closes_us(last_start(window, watermark_us) + window.slide_us)
