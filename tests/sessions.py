"""Drives the session windows without an engine, and holds what stands against the obvious reference."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import reference
from driver import columns_of
from hypothesis import strategies as st
from partitions import Partitions
from reference import Row

from kernels.aggregate import Layout
from kernels.backend import get_backend
from kernels.grid import Grid
from kernels.hashing import partition_of
from kernels.metric import Metric
from kernels.schema import Columns
from kernels.sessions import SessionWindow
from operators.batch import Batch
from operators.ingest import IngestConfig
from operators.session import SessionConfig, Sessions, ShardSessions
from operators.session_combine import SessionCombine

__all__ = [
    "AGENTS",
    "EVENTS",
    "GRID",
    "LAYOUT",
    "METRICS",
    "PICKS",
    "SIZES",
    "Flow",
    "check",
    "event",
    "rows_of",
]

GRID = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (1, 1, 1))
METRICS = (Metric("energy", 0.5, -1000.0, 1000.0), Metric("speed_mps", 0.001, -10.0, 10.0))
LAYOUT = Layout(METRICS, (True, True), (True, True))
WINDOWS = (
    SessionWindow("short", gap_us=5, lateness_us=3),
    SessionWindow("long", gap_us=9, lateness_us=3),
    SessionWindow("patient", gap_us=12, lateness_us=20),
)
ASKED = frozenset(("count", "sum", "mean", "min", "max", "var"))
PARTITIONS = 3
AGENTS = [int(np.flatnonzero(partition_of(np.arange(99, dtype=np.uint64), PARTITIONS) == p)[k])
          for p in range(PARTITIONS) for k in range(3)]  # fmt: skip

Id = tuple[str, int, int]


@dataclass
class Flow(Partitions):
    """The steps between a source and a sink, and the sessions that stand after what they put out."""

    shards: int = 3
    partitions: int = PARTITIONS
    windows: Sequence[SessionWindow] = WINDOWS
    rows: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the steps."""
        lateness = sorted(w.lateness_us for w in self.windows)
        checks = IngestConfig(GRID, METRICS, least_lateness_us=lateness[0], lateness_us=lateness[-1])
        self.open(checks, self.partitions)
        self.combine = SessionCombine(self.windows, LAYOUT, self.shards, get_backend("numpy"))
        self.config = SessionConfig(
            tuple(self.windows), (ASKED,) * len(self.windows), LAYOUT, self.partitions
        )
        self.sessions = {str(k): ShardSessions(self.config) for k in range(self.shards)}

    def restart(self) -> None:
        """Go on from snapshots, as after a crash."""
        super().restart()
        self.sessions = {k: ShardSessions(self.config, s.snapshot()) for k, s in self.sessions.items()}

    def columns(self, events: Sequence[Row]) -> Columns:
        """Return rows as columns."""
        return columns_of(events, GRID, METRICS)

    def take(self, batch: Batch) -> None:
        """Let a batch through the steps."""
        for key, message in self.combine(batch):
            for found in self.sessions[key].on_messages([message]):
                self.rows += rows_of(found)

    def standing(self) -> dict[Id, dict]:
        """Return what stands; check on the way that each row follows from those before it."""
        found: dict[Id, dict] = {}
        said: dict[Id, int] = {}
        for row in self.rows:
            key = (row["window"], row["agent_id"], row["start_us"])
            assert row["revision"] > said.get(key, -1), (
                f"{key}: revision {row['revision']} came after {said[key]}"
            )
            said[key] = row["revision"]
            if row["withdrawn"]:
                old = found.pop(key)
                assert repr({**old, "revision": old["revision"] + 1, "withdrawn": True}) == repr(row)
                continue
            assert key not in found, f"{key} was not withdrawn"
            assert not any(_overlap(row, other) for other in found.values()), (
                f"{key} overlaps one that stands"
            )
            found[key] = row
        return found


def rows_of(sessions: Sessions) -> list[dict]:
    """Return sessions as rows, their windows by name."""
    columns = {name: values.tolist() for name, values in sessions.columns.items()}
    columns["window"] = [sessions.windows[k] for k in columns["window"]]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _overlap(one: dict, other: dict) -> bool:
    same = (one["window"], one["agent_id"]) == (other["window"], other["agent_id"])
    return same and one["start_us"] < other["end_us"] and other["start_us"] < one["end_us"]


def _expected(partitions: Mapping[int, Sequence[Row]], windows: Sequence[SessionWindow]) -> dict[Id, dict]:
    """The sessions, one event at a time."""
    _, kept = reference.account(partitions, windows)  # type: ignore[arg-type]  # it asks for the lateness alone
    return reference.sessions(kept, METRICS)  # type: ignore[arg-type]


def check(flow: Flow, partitions: Mapping[int, Sequence[Row]]) -> None:
    """Hold what stands against the reference."""
    expected, got = _expected(partitions, flow.windows), flow.standing()
    assert got.keys() == expected.keys()
    for key, row in expected.items():
        del row["agents"]
        for name, value in row.items():
            exact = not name.endswith(("_mean", "_var"))
            same = value if exact else pytest.approx(value, rel=1e-14, abs=0, nan_ok=True)
            assert got[key][name] == same or (math.isnan(value) and math.isnan(got[key][name])), (key, name)


def _events() -> st.SearchStrategy[dict[int, list[Row]]]:
    steps = st.none() | st.integers(-900, 900).map(lambda v: v / 4)
    small = st.none() | st.integers(-9000, 9000).map(lambda v: v / 1024)
    row = st.builds(
        Row,
        st.sampled_from(AGENTS),
        st.integers(0, 90),
        st.just(0),
        st.just((0, 0, 0)),
        st.tuples(steps, small),
    )
    return st.lists(row, max_size=60).map(_by_partition)


def _by_partition(rows: Iterable[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        partition = int(partition_of(np.array([row.agent_id], np.uint64), PARTITIONS)[0])
        found.setdefault(partition, []).append(row)
    return found


def event(agent: int, time_us: int, energy: float | None = None) -> Row:
    """Return an event."""
    return Row(agent, time_us, 0, (0, 0, 0), (energy, None))


EVENTS = _events()
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)
PICKS = st.lists(st.integers(0, 5), max_size=8)
