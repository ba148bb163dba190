"""The session windows of one shard of agents: join fragments, publish complete sessions, withdraw parts of larger ones.

    reach of a partition     its own watermark, since an agent never changes its partition: no session waits for another
                             partition; while it is idle the least watermark of those that are not, if that is further
    a session is published   when its partition's reach passes its last event plus gap plus lateness
    a session is final       when its partition's own watermark does: no event can follow, and it is forgotten
    a session is withdrawn   when its partition was idle and brings events for it: it is open again, joined with them
                             and with whatever they reach, and is published anew when it is complete

Each row about a session has the next revision, and a joined one goes on from the greatest of its parts. So what stands
in the end, the last revision of each (window, agent, start) that is not withdrawn, is a function of the events alone,
however long a partition was idle: what waits for it does not grow, as it is only that partition's own last sessions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import Layout
from kernels.fragments import Fragments
from kernels.lateness import START_US
from kernels.sessions import SessionWindow
from operators.cells import metric_columns
from operators.session_combine import SessionMessage
from operators.session_store import SessionStore
from operators.state import pack, unpack

__all__ = ["SessionConfig", "Sessions", "ShardSessions", "session_columns"]

_VERSION = 1


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What the sessions of a shard need to know.

    Parameters
    ----------
    windows
        The session windows.
    aggregates
        What each of them publishes; the rest is null there.
    layout
        The rows of the statistics.
    partitions
        Number of source partitions.
    """

    windows: tuple[SessionWindow, ...]
    aggregates: tuple[frozenset[str], ...]
    layout: Layout
    partitions: int


@dataclass(slots=True)
class Sessions:
    """R result rows of one shard.

    Parameters
    ----------
    shard
        The shard they come from.
    columns
        (R,) arrays, see `session_columns`, then `revision` int32 and `withdrawn` bool; `window` is a number into
        `windows`. A withdrawn row repeats what is withdrawn.
    windows
        Names.
    """

    shard: int
    columns: dict[str, NDArray[Any]]
    windows: Sequence[str]

    def __len__(self) -> int:
        return len(self.columns["count"])


def session_columns(layout: Layout) -> dict[str, np.dtype[Any]]:
    """Return the names and types of the exact columns, in the order in which they are published and hashed."""
    exact = {"window": "i2", "start_us": "i8", "end_us": "i8", "agent_id": "u8", "count": "i8"}
    for metric in layout.metrics:
        exact[f"{metric.name}_count"] = "i8"
        exact |= {f"{metric.name}_{a}": "f8" for a in ("sum", "mean", "min", "max", "var")}
    return {name: np.dtype(code) for name, code in exact.items()}


class ShardSessions:
    """The session windows of one shard, without an engine.

    Parameters
    ----------
    config
        The session windows.
    state
        What `snapshot` returned, or None at the start.
    """

    def __init__(self, config: SessionConfig, state: bytes | None = None) -> None:
        self._config, self._shard = config, -1  # messages say which shard this is
        self._watermarks = np.full(config.partitions, START_US, np.int64)
        self._idle = np.zeros(config.partitions, np.bool_)
        self._least_us = START_US
        self._stores: dict[tuple[int, int], SessionStore] = {}
        if state is not None:
            self._restore(unpack("sessions", _VERSION, state))
        self._ticks = self._ticks_of(self._reach())

    def on_messages(self, messages: Iterable[SessionMessage]) -> list[Sessions]:
        """Take what batches told this shard; return what is to be published or withdrawn."""
        back = np.zeros(
            len(self._idle), np.bool_
        )  # what was idle may be past the tick that its sessions wait for
        for message in messages:
            self._shard = message.shard
            back[message.partition] |= self._idle[message.partition]
            for number, fragments in message.pieces:
                self._store(number, message.partition).add(fragments)
            self._watermarks[message.partition] = message.watermark_us
            self._idle[message.partition] = message.idle
        awake = self._watermarks[~self._idle]
        self._least_us = max(self._least_us, int(awake.min())) if len(awake) else self._least_us
        return self._advance(back)

    def snapshot(self) -> bytes:
        """Return the state as plain data."""
        state = {
            "shard": self._shard,
            "watermarks": self._watermarks,
            "idle": self._idle,
            "least_us": self._least_us,
            "stores": [[*key, store.snapshot()] for key, store in self._stores.items()],
        }
        return pack("sessions", _VERSION, state)

    def _restore(self, state: dict[str, Any]) -> None:
        self._shard, self._least_us = state["shard"], state["least_us"]
        known = len(state["watermarks"])  # partitions may have been added since
        self._watermarks[:known], self._idle[:known] = state["watermarks"], state["idle"]
        for number, partition, saved in state["stores"]:
            self._store(number, partition).restore(saved)

    def _store(self, number: int, partition: int) -> "SessionStore":
        key = number, partition
        if key not in self._stores:
            layout = self._config.layout
            self._stores[key] = SessionStore(
                self._config.windows[number], (layout.int_rows, layout.float_rows)
            )
        return self._stores[key]

    def _reach(self) -> NDArray[np.int64]:
        """Return how far each partition's time has come, for what is to be published."""
        return np.where(self._idle, np.maximum(self._watermarks, self._least_us), self._watermarks)

    def _ticks_of(self, reach: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of each window's tick that each partition is in."""
        ticks: NDArray[np.int64] = np.array([reach // w.tick_us for w in self._config.windows])
        return ticks

    def _advance(self, back: NDArray[np.bool_]) -> list[Sessions]:
        """Look where a partition came to another tick, or `back` from where the others had come to."""
        reach = self._reach()
        ticks = self._ticks_of(reach)
        passed = np.argwhere((ticks != self._ticks) | back).tolist()
        self._ticks = ticks
        found: dict[int, list[tuple[Fragments, bool]]] = {}
        for number, partition in passed:
            store = self._stores.get((number, partition))
            if store is not None:
                found.setdefault(number, []).extend(store.look(reach[partition], self._watermarks[partition]))
        return [self._results(number, parts) for number, parts in found.items() if parts]

    def _results(self, number: int, parts: list[tuple[Fragments, bool]]) -> Sessions:
        """Return rows of one window: fragments, and whether they are withdrawn."""
        config = self._config
        window, asked, layout = config.windows[number], config.aggregates[number], config.layout
        rows = Fragments.of([part for part, _ in parts])
        columns: dict[str, NDArray[Any]] = {
            "window": np.full(rows.size, number, np.int16),
            "start_us": rows.start_us,
            "end_us": rows.last_us + window.gap_us,
            "agent_id": rows.agent_id,
            "count": rows.ints[0],
        }
        for m, metric in enumerate(layout.metrics):
            for name, values in metric_columns(rows.ints, rows.floats, layout, m).items():
                keep = name == "count" or name in asked
                columns[f"{metric.name}_{name}"] = values if keep else np.full(rows.size, np.nan)
        columns["revision"] = rows.revision
        columns["withdrawn"] = np.concatenate([np.full(part.size, gone) for part, gone in parts])
        return Sessions(self._shard, columns, [w.name for w in config.windows])
