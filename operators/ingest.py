"""From decoded columns to a stamped batch: validate, guard the clock, find late rows and duplicates, follow the agents.

One `Ingest` serves one source partition. What it decides about a row depends on the partition's rows before it and on
nothing else, so framing, batch size and polling cannot change a result. Rows that cannot be events leave as dead
letters, whole; rows that came too late for every window leave as late rows, whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.dedup import Recent
from kernels.grid import Grid
from kernels.known_agents import KnownAgents
from kernels.lateness import END_US, START_US, Extremes, extremes, stamp
from kernels.metric import Metric
from kernels.motion import Motion
from kernels.schema import Columns, no_values
from kernels.seen import Seen
from kernels.watch import Bounds
from operators.batch import Batch, DeadLetter, Late, Origin, Tally, length
from operators.guardian import Guardian
from operators.rows_in_check import Rows, validate
from operators.state import pack, unpack

__all__ = ["Ingest", "IngestConfig"]

_VERSION = 3  # 2: the agents that are known; 3: the watch over them


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """What a source partition checks and keeps.

    Parameters
    ----------
    grid, metrics
        The world and the metrics' ranges: rows outside are dead letters.
    least_lateness_us, lateness_us
        Least and greatest allowed lateness over the windows.
    max_jump_us
        Largest believed step of the running maximum; None: any.
    future_us
        Furthest believed time after the record's broker time; None: any.
    dedup
        Whether duplicates are taken out.
    motion
        Whether each event is given the features of its agent's movement since its last event.
    columns
        Names that every batch must have: one that a record lacks holds no value there.
    most_agents
        How many agents a partition knows at most, events of others being dead letters; None: any number.
    known
        Where each partition notes how many it knows, for who watches the limit.
    watch
        What agents may do; None: they are not watched.
    """

    grid: Grid
    metrics: tuple[Metric, ...]
    least_lateness_us: int
    lateness_us: int
    max_jump_us: int | None = None
    future_us: int | None = None
    dedup: bool = False
    motion: bool = False
    columns: tuple[str, ...] = ()
    most_agents: int | None = None
    known: dict[int, int] = field(default_factory=dict)
    watch: Bounds | None = None


class Ingest:
    """The event time, the recent identities and the agents of one partition.

    Parameters
    ----------
    config
        What to check.
    state
        What `snapshot` returned, or None at the start.
    """

    def __init__(self, config: IngestConfig, state: bytes | None = None) -> None:
        self._config = config
        self._max_us = START_US
        self._seen = Seen() if config.dedup else None
        self._motion = Motion() if config.motion else None
        self._known = KnownAgents(config.most_agents) if config.most_agents is not None else None
        self._guardian = Guardian(config.watch) if config.watch is not None else None
        self._idle = False
        if state is not None:
            self._restore(unpack("ingest", _VERSION, state))

    def accept(
        self,
        columns: Columns,
        origin: Origin,
        *,
        broker_us: NDArray[np.int64] | None = None,
        names: dict[int, str] | None = None,
        dead: Sequence[DeadLetter] = (),
    ) -> Batch:
        """Turn N decoded rows into a batch.

        Parameters
        ----------
        columns
            Canonical columns, (N,) each.
        origin
            Where they stood.
        broker_us
            (N,) the broker's time of each row's record; None: not known.
        names
            Text of hashed ids.
        dead
            What could not be decoded at all; it is counted here.
        """
        tally = Tally(events_in=length(columns) + len(dead), dead_letters=len(dead))
        rows = Rows(self._complete(columns), origin, tally, list(dead))
        before_us = self._max_us
        times = extremes(rows.columns["time_us"]) if len(rows) else None
        if times is not None:
            validate(
                rows, times, self._config.grid, self._config.metrics, broker_us=broker_us,
                future_us=self._config.future_us,
            )  # fmt: skip
        self._admit(rows)
        behind_us = self._stamp(rows, times if rows.index is None else None)
        if self._seen is not None and len(rows):
            behind_us = self._deduplicate(self._seen, rows, behind_us)
        if self._motion is not None and len(rows):
            rows.columns = rows.columns | self._motion.features(rows.columns)
        if self._guardian is not None and len(rows):
            rows.columns, found = self._guardian.inspect(rows.columns, names or {}, origin, rows.index)
            rows.outputs += found
        batch = Batch(rows.columns, origin, before_us, self._max_us, behind_us, names or {})
        batch.tally, batch.outputs, batch.resumed = tally, rows.outputs, self._idle
        self._idle = False
        return batch

    def pause(self, origin: Origin) -> Batch:
        """Return the empty batch that says: this partition is idle, do not wait for it."""
        self._idle = True
        return Batch({}, origin, self._max_us, self._max_us, idle=True)

    def finish(self, origin: Origin) -> Batch:
        """Return the empty batch that says: this partition is at its end."""
        before_us, self._max_us = self._max_us, END_US
        return Batch({}, origin, before_us, END_US)

    def snapshot(self) -> bytes:
        """Return the state after the rows accepted so far."""
        motion = self._motion.snapshot() if self._motion is not None else None
        watch = self._guardian.snapshot() if self._guardian is not None else None
        recent = self._seen.recent(self._oldest_us) if self._seen is not None else Recent.empty()
        state = {"max_us": self._max_us, "idle": self._idle, "recent": list(recent)}
        known = self._known.ids() if self._known is not None else None
        return pack("ingest", _VERSION, state | {"motion": motion, "watch": watch, "known": known})

    def _restore(self, state: dict[str, Any]) -> None:
        self._max_us, self._idle = state["max_us"], state["idle"]
        if self._seen is not None:
            self._seen = Seen(Recent(*state["recent"]))
        if self._motion is not None and state["motion"] is not None:
            self._motion.restore(state["motion"])
        if self._config.most_agents is not None and state["known"] is not None:
            self._known = KnownAgents(self._config.most_agents, state["known"])
        if self._guardian is not None and state["watch"] is not None:
            self._guardian.restore(state["watch"])

    def _complete(self, columns: Columns) -> Columns:
        """Return the columns with those that the record lacks."""
        missing = [name for name in self._config.columns if name not in columns]
        if not missing:
            return columns
        size = length(columns)
        return columns | {name: no_values(name, size) for name in missing}

    def _admit(self, rows: Rows) -> None:
        """Refuse events of agents beyond the limit: before the clock is looked at, so that they move nothing."""
        if self._known is not None and len(rows):
            rows.bury(self._known.refuse(rows.columns["agent_id"]), "limit")
            self._config.known[rows.origin.partition] = len(self._known)

    def _stamp(self, rows: Rows, times: Extremes | None) -> NDArray[np.int64] | None:
        found = stamp(
            rows.columns["time_us"] if rows.columns else np.empty(0, np.int64),
            running_max_us=self._max_us,
            lateness_us=self._config.least_lateness_us,
            max_jump_us=self._config.max_jump_us,
            known=times,
        )
        self._max_us, behind_us = found.running_max_us, found.behind_us
        if found.jumped is not None:
            rows.bury(found.jumped, "clock_jump")
            behind_us = None if behind_us is None else behind_us[~found.jumped]
        if behind_us is None:
            return None
        late = behind_us > self._config.lateness_us
        if late.any():
            columns, offset, row = rows.take_out(late)
            rows.tally.late += len(offset)
            origin = rows.origin
            rows.outputs.append(Late(origin.topic, origin.partition, columns, offset, row, behind_us[late]))
        return behind_us[~late]

    def _deduplicate(
        self, seen: Seen, rows: Rows, behind_us: NDArray[np.int64] | None
    ) -> NDArray[np.int64] | None:
        columns = rows.columns
        seq = columns.get("seq", np.zeros(len(rows), np.uint32))
        events = Recent(columns["agent_id"], columns["time_us"], seq)
        repeated = seen.repeated(events, oldest_us=self._oldest_us)
        if repeated.any():
            rows.tally.duplicates += len(rows.take_out(repeated)[1])
            return None if behind_us is None else behind_us[~repeated]
        return behind_us

    @property
    def _oldest_us(self) -> int:
        """No event to come that is not late is older."""
        return self._max_us - self._config.lateness_us
