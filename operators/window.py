"""The windows of one shard: merge partials, close on the watermark, amend what was closed without an idle partition.

    watermark           least of all partitions that are not idle; it never falls
    a window closes     when the watermark passes its end plus its lateness: revision 0
    a window is amended when a partition that was idle brings events for it: the whole of it again, revision + 1
    a pane is forgotten when no partition can add to it (their least, idle ones included, passed its last window), or
                        when the watermark is `horizon` past that; what comes later still is late

So the last revision of each window is a function of the events alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from bytewax.operators import StatefulBatchLogic
from numpy.typing import NDArray

from kernels.lateness import END_US, START_US
from kernels.panes import Window
from kernels.table import Table, count_of, distinct_pairs, join, spread, windows_of
from operators.batch import Tally
from operators.combine import Group, Message
from operators.pane_store import Block, PaneStore, Piece
from operators.state import pack, unpack

__all__ = ["Closed", "ShardWindows", "WindowConfig", "WindowStep"]

_VERSION = 1


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """What the windows of a shard need to know.

    Parameters
    ----------
    groups
        The windows by lateness.
    partitions
        Source partitions; all must pass a window's end.
    cells
        Ranks in the world.
    shape
        Rows of the layout's ints and floats.
    horizon_us
        How long after its close a window can be amended, in event time.
    """

    groups: tuple[Group, ...]
    partitions: int
    cells: int
    shape: tuple[int, int]
    horizon_us: int


class Closed(NamedTuple):
    """K rows of closed windows of one shard, all of one configured window.

    Attributes
    ----------
    window
        Its name.
    start_us, rank
        (K,) int64 start and cell of each row.
    agents
        (K,) int64 distinct agents, or None if not asked for.
    ints, floats
        (I, K), (F, K) exact statistics.
    revision
        (K,) int32.
    """

    shard: int
    window: str
    start_us: NDArray[np.int64]
    rank: NDArray[np.int64]
    agents: NDArray[np.int64] | None
    ints: NDArray[np.int64]
    floats: NDArray[np.float32]
    revision: NDArray[np.int32]


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
        self._config, self._shard = config, -1  # messages say which shard this is
        self._watermarks = np.full(config.partitions, START_US, np.int64)
        self._idle = np.zeros(config.partitions, np.bool_)
        self._watermark_us = START_US
        self._stores = {
            (number, pane_us): PaneStore(pane_us // group.pane_us, config.cells, config.shape)
            for number, group in enumerate(config.groups)
            for pane_us in {w.pane_us for w in group.windows}
        }
        self._longest = max(self._stores, key=lambda key: (key[0], key[1]))
        self._revisions: dict[str, dict[int, int]] = {w.name: {} for g in config.groups for w in g.windows}
        if state is not None:
            self._restore(unpack("windows", _VERSION, state))

    def on_messages(self, messages: Iterable[Message]) -> list[Closed | Tally]:
        """Take what batches told this shard; return the windows that closed or changed."""
        amended: dict[str, set[int]] = {}
        forgotten = 0
        for message in messages:
            for piece in message.pieces:
                forgotten += self._add(piece, amended)
            self._shard = message.shard
            self._watermarks[message.partition] = message.watermark_us
            self._idle[message.partition] = message.idle
        found: list[Closed | Tally] = [Tally(windowed=-forgotten, late=forgotten)] if forgotten else []
        for number, group in enumerate(self._config.groups):
            for window in group.windows:
                found += self._amend(number, window, amended.get(window.name, set()))
        found += self._advance()
        return found

    def snapshot(self) -> bytes:
        """Return the state as plain data."""
        state = {
            "shard": self._shard,
            "watermarks": self._watermarks,
            "idle": self._idle,
            "watermark_us": self._watermark_us,
            "stores": [[*key, store.snapshot()] for key, store in self._stores.items()],
            "revisions": self._revisions,
        }
        return pack("windows", _VERSION, state)

    def _restore(self, state: dict[str, Any]) -> None:
        self._shard, self._watermarks, self._idle = state["shard"], state["watermarks"], state["idle"]
        self._watermark_us, self._revisions = state["watermark_us"], state["revisions"]
        for number, pane_us, saved in state["stores"]:
            self._stores[number, pane_us].restore(saved)

    def _add(self, piece: Piece, amended: dict[str, set[int]]) -> int:
        """Add a piece; note the closed windows that it changes; return how many of its events came past the horizon."""
        group = self._config.groups[piece.group]
        forgotten = 0
        for pane_us in {w.pane_us for w in group.windows}:
            store = self._stores[piece.group, pane_us]
            if _oldest_us(piece, group.pane_us, self._config.cells) <= self._closed_us(group):
                count, kept = store.forget_late(piece)
                forgotten += count if (piece.group, pane_us) == self._longest else 0
                for window in (w for w in group.windows if w.pane_us == pane_us):
                    closed = (s for pane in store.panes(kept) for s in window.starts(pane))
                    changed = {s for s in closed if window.closes_us(s) <= self._watermark_us}
                    amended.setdefault(window.name, set()).update(changed)
                store.add(kept)
            else:
                store.add(piece)
        return forgotten

    def _closed_us(self, group: Group) -> int:
        """Return the last time that a closed window of `group` covers."""
        return max(_last_start(w, self._watermark_us) + w.length_us - 1 for w in group.windows)

    def _amend(self, number: int, window: Window, starts: set[int]) -> list[Closed]:
        revisions = self._revisions[window.name]
        for start_us in sorted(starts):
            revisions[start_us] = revisions.get(start_us, 0) + 1
        return [c for s in sorted(starts) for c in self._close(number, window, s, s)]

    def _advance(self) -> list[Closed]:
        """Move the watermark; close what it passes; forget what no partition can add to."""
        awake = self._watermarks[~self._idle]
        now_us = max(self._watermark_us, int(awake.min())) if len(awake) else self._watermark_us
        if now_us == self._watermark_us:
            return []
        found = []
        for number, group in enumerate(self._config.groups):
            for window in group.windows:
                first = _last_start(window, self._watermark_us) + window.slide_us
                found += self._close(number, window, first, _last_start(window, now_us))
        self._watermark_us = now_us
        self._forget(max(int(self._watermarks.min()), now_us - self._config.horizon_us))
        return found

    def _close(self, number: int, window: Window, first_us: int, last_us: int) -> list[Closed]:
        """Return the windows that start at first_us to last_us and hold events."""
        if last_us < first_us:
            return []
        store, cells = self._stores[number, window.pane_us], self._config.cells
        panes, slide = window.length_us // window.pane_us, window.slide_us // window.pane_us
        low, high = first_us // window.pane_us, (last_us + window.length_us) // window.pane_us
        table = spread(store.table(low, high), cells=cells, panes=panes, slide_panes=slide)
        table = _within(table, first_us // window.slide_us, last_us // window.slide_us, cells)
        if blocks := _sum_blocks(window, store.blocks(low, high), first_us, last_us, cells):
            table = join([table, *blocks])
        if not len(table.key):
            return []
        agents = None
        if window.agents:
            pairs = store.pairs(low, high)
            rows, key = windows_of(pairs.key, cells=cells, panes=panes, slide_panes=slide)
            agents = count_of(distinct_pairs(key, pairs.agent_id[rows])[0], table.key)
        number_of, rank = np.divmod(table.key, cells)
        start_us = number_of * window.slide_us
        return [
            Closed(
                self._shard, window.name, start_us, rank, agents, table.ints, table.floats,
                self._revision(window.name, start_us),
            )
        ]  # fmt: skip

    def _revision(self, name: str, start_us: NDArray[np.int64]) -> NDArray[np.int32]:
        revision = np.zeros(len(start_us), np.int32)
        for start, number in self._revisions[name].items():
            revision[start_us == start] = number
        return revision

    def _forget(self, final_us: int) -> None:
        """Drop the panes of windows that are final at `final_us`."""
        floors: dict[tuple[int, int], int] = {}
        for number, group in enumerate(self._config.groups):
            for window in group.windows:
                first_us = _last_start(window, final_us) + window.slide_us
                key = number, window.pane_us
                floors[key] = min(floors.get(key, END_US), first_us)
                revisions = self._revisions[window.name]
                self._revisions[window.name] = {s: r for s, r in revisions.items() if s >= first_us}
        # Every event is in the group of the greatest lateness: one store of it outlives all, so that what this one no
        # longer takes is in no window at all.
        floors[self._longest] = min(floors.values())
        for (number, pane_us), first_us in floors.items():
            self._stores[number, pane_us].drop(first_us // pane_us)


class WindowStep(StatefulBatchLogic[Message, "Closed | Tally", bytes]):
    """`ShardWindows` as Bytewax drives it.

    The end of the input closes nothing: a bounded source ends with a watermark that does, and a drain must not.
    """

    def __init__(self, windows: ShardWindows) -> None:
        self._windows = windows

    def on_batch(self, values: list[Message]) -> tuple[Sequence[Closed | Tally], bool]:
        """Take a batch of messages."""
        return self._windows.on_messages(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """Return the state of the shard."""
        return self._windows.snapshot()


def _oldest_us(piece: Piece, pane_us: int, cells: int) -> int:
    """Return the start of the oldest pane of `piece`, cut into panes of `pane_us`."""
    panes = [b.pane for b in piece.blocks]
    if piece.table is not None and len(piece.table.key):
        panes.append(int(piece.table.key[0]) // cells)
    return min(panes, default=END_US // pane_us) * pane_us


def _last_start(window: Window, watermark_us: int) -> int:
    """Return the start of the last window that is closed at `watermark_us`."""
    return (watermark_us - window.lateness_us - window.length_us) // window.slide_us * window.slide_us


def _sum_blocks(window: Window, blocks: Sequence[Block], first_us: int, last_us: int, cells: int) -> list[Table]:
    """Return the sums of blocks over each window that starts at first_us to last_us, as tables."""
    starts = {s for b in blocks for s in window.starts(b.pane) if first_us <= s <= last_us}
    found = []
    for start_us in sorted(starts):
        panes = window.panes(start_us)
        own = [b for b in blocks if b.pane in panes]
        total = own[0] if len(own) == 1 else own[0].copy()
        for block in own[1:]:
            total.add(block)
        found.append(total.as_table(start_us // window.slide_us, cells))
    return found


def _within(table: Table, first: int, last: int, cells: int) -> Table:
    """Return the rows of windows first to last of a sorted table."""
    if not len(table.key):
        return table
    low, high = int(table.key[0]) // cells, int(table.key[-1]) // cells
    return table.between(max(first, low) * cells, (min(last, high) + 1) * cells)
