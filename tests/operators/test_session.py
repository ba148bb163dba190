"""Session windows equal the obvious reference, whatever the framing, the interleaving, the shards and the restarts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import bytewax.operators as op
import numpy as np
import pytest
import reference
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from driver import columns_of, interleave, split
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Row

from kernels.aggregate import MAX_BATCH_EVENTS, Layout
from kernels.backend import get_backend
from kernels.grid import Grid
from kernels.hashing import partition_of
from kernels.metric import Metric
from kernels.panes import Window
from kernels.sessions import SessionWindow
from operators.batch import Batch, Origin
from operators.ingest import Ingest, IngestConfig
from operators.keyed import keyed
from operators.session import SessionConfig, Sessions, ShardSessions, session_columns
from operators.session_combine import SessionCombine, SessionMessage

GRID = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (1, 1, 1))
METRICS = (Metric("energy", 0.5, -1000.0, 1000.0), Metric("speed_mps", 0.001, -10.0, 10.0))
LAYOUT = Layout(METRICS, (True, True), (True, True))
WINDOWS = (
    SessionWindow("short", gap_us=5, lateness_us=3),
    SessionWindow("long", gap_us=9, lateness_us=3),
    SessionWindow("patient", gap_us=12, lateness_us=20),
)
ALL = Window("all", length_us=2**40, slide_us=2**40, lateness_us=0)
ASKED = frozenset(("count", "sum", "mean", "min", "max", "var"))
PARTITIONS = 3
AGENTS = [int(np.flatnonzero(partition_of(np.arange(99, dtype=np.uint64), PARTITIONS) == p)[k])
          for p in range(PARTITIONS) for k in range(3)]  # fmt: skip

Id = tuple[str, int, int]


@dataclass
class Flow:
    """The steps between a source and a sink, and the sessions that stand after what they put out."""

    shards: int = 3
    partitions: int = PARTITIONS
    windows: Sequence[SessionWindow] = WINDOWS
    rows: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the steps."""
        lateness = sorted(w.lateness_us for w in self.windows)
        self.checks = IngestConfig(GRID, METRICS, least_lateness_us=lateness[0], lateness_us=lateness[-1])
        self.sources = {p: Ingest(self.checks) for p in range(self.partitions)}
        self.combine = SessionCombine(self.windows, LAYOUT, self.shards, get_backend("numpy"))
        self.config = SessionConfig(
            tuple(self.windows), (ASKED,) * len(self.windows), LAYOUT, self.partitions
        )
        self.sessions = {str(k): ShardSessions(self.config) for k in range(self.shards)}

    def feed(self, partition: int, rows: Sequence[Row]) -> None:
        """Let a partition deliver a batch."""
        self.take(self.sources[partition].accept(columns_of(rows, GRID, METRICS), _origin(partition)))

    def pause(self, partition: int) -> None:
        """Let a partition be idle."""
        self.take(self.sources[partition].pause(_origin(partition)))

    def finish(self) -> None:
        """Let all partitions come to their end."""
        for partition, source in self.sources.items():
            self.take(source.finish(_origin(partition)))

    def restart(self) -> None:
        """Go on from snapshots, as after a crash."""
        self.sources = {p: Ingest(self.checks, s.snapshot()) for p, s in self.sources.items()}
        self.sessions = {k: ShardSessions(self.config, s.snapshot()) for k, s in self.sessions.items()}

    def take(self, batch: Batch) -> None:
        """Let a batch through the steps."""
        for key, message in self.combine(batch):
            for found in self.sessions[key].on_messages([message]):
                self.rows += _rows(found)

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


def _origin(partition: int) -> Origin:
    return Origin("test", partition, *(np.zeros(1, np.int64) for _ in range(3)))


def _rows(sessions: Sessions) -> list[dict]:
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


def _check(flow: Flow, partitions: Mapping[int, Sequence[Row]]) -> None:
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


def _row(agent: int, time_us: int, energy: float | None = None) -> Row:
    return Row(agent, time_us, 0, (0, 0, 0), (energy, None))


EVENTS = _events()
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)
PICKS = st.lists(st.integers(0, 5), max_size=8)


@given(EVENTS, SIZES, PICKS, st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_equals_the_reference(
    partitions: dict[int, list[Row]], sizes: list[int], picks: list[int], shards: int
) -> None:
    """Any events, framing, interleaving and shard count give the sessions of the reference, each published once."""
    flow = Flow(shards=shards)
    for partition, batch in interleave({p: split(r, sizes) for p, r in partitions.items()}, picks):
        flow.feed(partition, batch)
    flow.finish()
    _check(flow, partitions)
    assert all(row["revision"] == 0 for row in flow.rows), "without idle partitions nothing is amended"


@given(EVENTS, SIZES, PICKS, st.lists(st.integers(0, 2), max_size=20), st.integers(0, 4))
@settings(max_examples=200, deadline=None)
def test_idle_partitions_amend(
    partitions: dict[int, list[Row]],
    sizes: list[int],
    picks: list[int],
    pauses: list[int],
    every: int,
) -> None:
    """However often partitions are idle and come back, and steps restart, what stands in the end is the same."""
    flow = Flow()
    order = interleave({p: split(r, sizes) for p, r in partitions.items()}, picks)
    for turn, (partition, batch) in enumerate(order):
        for paused in pauses[turn : turn + 1]:
            flow.pause(paused)
        flow.feed(partition, batch)
        if every and turn % every == 0:
            flow.restart()
    flow.finish()
    _check(flow, partitions)


@given(EVENTS, SIZES, PICKS, st.lists(st.integers(0, 2), max_size=20), st.integers(1, 10))
@settings(max_examples=100, deadline=None)
def test_restart_changes_nothing(
    partitions: dict[int, list[Row]], sizes: list[int], picks: list[int], pauses: list[int], every: int
) -> None:
    """Going on from snapshots after any batch puts out the same rows after each batch."""
    whole, broken = Flow(), Flow()
    order = interleave({p: split(r, sizes) for p, r in partitions.items()}, picks)
    for turn, (partition, batch) in enumerate(order):
        for flow in (whole, broken):
            for paused in pauses[turn : turn + 1]:
                flow.pause(paused)
            flow.feed(partition, batch)
        if turn % every == 0:
            broken.restart()
        assert sorted(map(repr, broken.rows)) == sorted(map(repr, whole.rows))


def _merge(flow: Flow) -> None:
    """Let partition 1 bring what joins two sessions that were published while it was idle."""
    here, there = AGENTS[3], AGENTS[0]
    flow.feed(1, [_row(here, 10, 1.0), _row(here, 20, 2.0)])
    flow.pause(1)
    flow.pause(2)
    flow.feed(0, [_row(there, 1000)])
    flow.feed(1, [_row(here, 18, 8.0), _row(here, 14, 4.0)])


def test_a_merged_session_withdraws_the_two_that_it_replaces() -> None:
    """Events that join two published sessions withdraw both, and the joined one is published with the next revision."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    _merge(flow)
    flow.finish()
    told = [(r["start_us"], r["end_us"], r["energy_sum"], r["revision"], r["withdrawn"]) for r in flow.rows]
    assert [r for r in told if r[0] < 1000] == [
        (10, 15, 1.0, 0, False),
        (20, 25, 2.0, 0, False),
        (10, 15, 1.0, 1, True),
        (20, 25, 2.0, 1, True),
        (10, 25, 15.0, 2, False),
    ]


def test_what_an_idle_partition_does_not_touch_stands() -> None:
    """A session that was published while its partition was idle is not published again when nothing joins it."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    agent = AGENTS[3]
    flow.feed(1, [_row(agent, 10)])
    flow.pause(1)
    flow.pause(2)
    flow.feed(0, [_row(AGENTS[0], 1000)])
    flow.feed(1, [_row(agent, 15), _row(AGENTS[4], 5000)])
    flow.finish()
    own = [(r["start_us"], r["revision"], r["withdrawn"]) for r in flow.rows if r["agent_id"] == agent]
    assert own == [(10, 0, False), (15, 0, False)]


def test_a_session_is_withdrawn_as_soon_as_its_partition_touches_it() -> None:
    """What is open again does not stand until it is complete, though nothing else is published then."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    _merge(flow)
    assert [(r["start_us"], r["withdrawn"]) for r in flow.rows[2:]] == [(10, True), (20, True)]
    assert flow.standing().keys() == set()


def test_a_withdrawal_outlives_a_restart() -> None:
    """A session that is touched between two looks is withdrawn at the next one, after a restart too."""
    flow = Flow(windows=[SessionWindow("w", gap_us=80, lateness_us=500)])
    agent = AGENTS[3]
    flow.feed(1, [_row(agent, 0), _row(agent, 200)])
    flow.pause(1)
    flow.pause(2)
    flow.feed(0, [_row(AGENTS[0], 9000)])
    flow.feed(1, [_row(AGENTS[4], 202)])
    flow.feed(1, [_row(agent, 50)])
    assert [(r["start_us"], r["withdrawn"]) for r in flow.rows] == [(0, False), (200, False)]
    flow.restart()
    flow.finish()
    own = [(r["start_us"], r["count"], r["withdrawn"]) for r in flow.rows if r["agent_id"] == agent]
    assert own == [(0, 1, False), (200, 1, False), (0, 1, True), (0, 2, False)]
    flow.standing()


def test_a_partition_that_is_back_is_given_its_time() -> None:
    """A session of a partition that has come back far behind the others waits for that partition alone."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    flow.feed(1, [_row(AGENTS[3], 0)])
    flow.pause(1)
    flow.pause(2)
    flow.feed(0, [_row(AGENTS[0], 1000)])
    flow.feed(1, [_row(AGENTS[3], 50)])
    assert [(r["agent_id"], r["start_us"]) for r in flow.rows] == [(AGENTS[3], 0)]


def test_a_partition_that_comes_back_with_its_end_is_published() -> None:
    """What an idle partition brings is published, although the others were at the end before, and it is there at once."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    flow.feed(1, [_row(AGENTS[3], 0)])
    flow.pause(1)
    for other in (0, 2):
        flow.take(flow.sources[other].finish(_origin(other)))
    rows = [_row(AGENTS[3], time_us) for time_us in (50, 53)]
    batches = [
        flow.sources[1].accept(columns_of(rows, GRID, METRICS), _origin(1)),
        flow.sources[1].finish(_origin(1)),
    ]
    told: dict[str, list[SessionMessage]] = {}
    for batch in batches:
        for key, message in flow.combine(batch):
            told.setdefault(key, []).append(message)
    for key, messages in told.items():
        for found in flow.sessions[key].on_messages(messages):
            flow.rows += _rows(found)
    assert [(r["agent_id"], r["start_us"], r["count"]) for r in flow.rows] == [
        (AGENTS[3], 0, 1),
        (AGENTS[3], 50, 2),
    ]


def test_no_session_waits_for_another_partition() -> None:
    """A session is published as its own partition passes its end, though another one has brought nothing yet."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    flow.feed(0, [_row(AGENTS[0], 0), _row(AGENTS[1], 12)])
    assert flow.rows == []
    flow.feed(0, [_row(AGENTS[1], 13)])
    assert [r["agent_id"] for r in flow.rows] == [AGENTS[0]]


def test_what_waits_for_an_idle_partition_does_not_grow() -> None:
    """While a partition is idle nothing is kept for it but what it had brought, and final sessions are forgotten."""
    flow = Flow(shards=1, windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    flow.feed(1, [_row(AGENTS[3], 0)])
    flow.pause(1)
    flow.pause(2)
    sizes = []
    for time_us in range(100, 5000, 100):
        flow.feed(0, [_row(AGENTS[0], time_us)])
        sizes.append(len(flow.sessions["0"].snapshot()))
    assert max(sizes) - min(sizes) < 16, "a watermark takes a few bytes more or less"


def test_partitions_may_be_added() -> None:
    """State of fewer partitions is taken on."""
    flow = Flow(partitions=2, windows=[SessionWindow("w", gap_us=5, lateness_us=0)])
    flow.feed(1, [_row(AGENTS[3], 0)])
    grown = Flow(partitions=3, windows=flow.windows)
    grown.sessions = {k: ShardSessions(grown.config, s.snapshot()) for k, s in flow.sessions.items()}
    grown.finish()
    assert [(r["agent_id"], r["count"]) for r in grown.rows] == [(AGENTS[3], 1)]


def test_a_batch_larger_than_one_sum() -> None:
    """A session over more events than can be summed at once is one session."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=0)])
    rows = MAX_BATCH_EVENTS + 3
    columns = columns_of([_row(AGENTS[0], 0, 1.0)], GRID, METRICS)
    columns = {name: np.repeat(values, rows) for name, values in columns.items()} | {
        "time_us": np.arange(rows)
    }
    flow.take(flow.sources[0].accept(columns, _origin(0)))
    flow.finish()
    assert [(r["count"], r["energy_sum"], r["end_us"]) for r in flow.rows] == [(rows, float(rows), rows + 4)]


def test_what_was_not_asked_for_is_null() -> None:
    """Aggregates that the window does not publish are NaN, and the columns are those that are announced."""
    window = SessionWindow("w", gap_us=5, lateness_us=0)
    combine = SessionCombine([window], LAYOUT, 1, get_backend("numpy"))
    sessions = ShardSessions(SessionConfig((window,), (frozenset(("count", "max")),), LAYOUT, 1))
    source = Ingest(IngestConfig(GRID, METRICS, least_lateness_us=0, lateness_us=0))
    batches = [
        source.accept(columns_of([_row(1, 0, 7.0)], GRID, METRICS), _origin(0)),
        source.finish(_origin(0)),
    ]
    (found,) = sessions.on_messages(message for batch in batches for _, message in combine(batch))
    assert list(found.columns) == [*session_columns(LAYOUT), "revision", "withdrawn"]
    assert all(found.columns[n].dtype == d for n, d in session_columns(LAYOUT).items())
    (row,) = _rows(found)
    assert (row["energy_count"], row["energy_max"], row["speed_mps_count"]) == (1, 7.0, 0)
    assert all(math.isnan(row[n]) for n in ("energy_sum", "energy_mean", "energy_var", "speed_mps_max"))


def test_runs_in_the_engine() -> None:
    """The steps give the same in a Bytewax flow, and the end of its input publishes nothing by itself."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    batches = [
        flow.sources[0].accept(columns_of([_row(AGENTS[0], t)], GRID, METRICS), _origin(0)) for t in (0, 100)
    ]
    out: list[tuple[str, Sessions]] = []
    graph = Dataflow("sessions")
    stream = op.flat_map("combine", op.input("in", graph, TestingSource(batches)), flow.combine)
    found = keyed("session", stream, partial(ShardSessions, flow.config))
    op.output("out", found, TestingSink(out))
    run_main(graph)
    assert [[row["start_us"] for row in _rows(sessions)] for _, sessions in out] == [[0]]
    assert all(str(sessions.shard) == key for key, sessions in out)


def test_messages_name_what_they_are_about() -> None:
    """A shard without events hears of a partition when it passes a tick, pauses or comes back, and else nothing."""
    flow = Flow(shards=2, windows=[SessionWindow("w", gap_us=80, lateness_us=0)])
    source = flow.sources[0]

    def told(time_us: int) -> list[SessionMessage]:
        batch = source.accept(columns_of([_row(AGENTS[0], time_us)], GRID, METRICS), _origin(0))
        return [message for _, message in flow.combine(batch)]

    assert [len(told(t)) for t in (1, 2, 9, 10)] == [2, 1, 1, 2]
    assert [m.idle for _, m in flow.combine(source.pause(_origin(0)))] == [True, True]
    assert [m.idle for m in told(11)] == [False, False]
