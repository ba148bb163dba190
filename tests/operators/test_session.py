"""Session windows equal the obvious reference, whatever the framing, the interleaving, the shards and the restarts."""

import math
from functools import partial

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from driver import columns_of, interleave, split
from hypothesis import given, settings
from hypothesis import strategies as st
from partitions import origin
from reference import Row
from sessions import AGENTS, EVENTS, GRID, LAYOUT, METRICS, PICKS, SIZES, Flow, check, event, rows_of

from kernels.aggregate import MAX_BATCH_EVENTS
from kernels.backend import get_backend
from kernels.sessions import SessionWindow
from operators.ingest import Ingest, IngestConfig
from operators.keyed import keyed
from operators.session import SessionConfig, Sessions, ShardSessions, session_columns
from operators.session_combine import SessionCombine, SessionMessage


@given(EVENTS, SIZES, PICKS, st.integers(1, 5))
@settings(max_examples=150)
def test_equals_the_reference(
    partitions: dict[int, list[Row]], sizes: list[int], picks: list[int], shards: int
) -> None:
    """Any events, framing, interleaving and shard count give the sessions of the reference, each published once."""
    flow = Flow(shards=shards)
    for partition, batch in interleave({p: split(r, sizes) for p, r in partitions.items()}, picks):
        flow.feed(partition, batch)
    flow.finish()
    check(flow, partitions)
    assert all(row["revision"] == 0 for row in flow.rows), "without idle partitions nothing is amended"


@given(EVENTS, SIZES, PICKS, st.lists(st.integers(0, 2), max_size=20), st.integers(1, 10))
@settings(max_examples=100)
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


def test_no_session_waits_for_another_partition() -> None:
    """A session is published as its own partition passes its end, though another one has brought nothing yet."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    flow.feed(0, [event(AGENTS[0], 0), event(AGENTS[1], 12)])
    assert flow.rows == []
    flow.feed(0, [event(AGENTS[1], 13)])
    assert [r["agent_id"] for r in flow.rows] == [AGENTS[0]]


def test_partitions_may_be_added() -> None:
    """State of fewer partitions is taken on."""
    flow = Flow(partitions=2, windows=[SessionWindow("w", gap_us=5, lateness_us=0)])
    flow.feed(1, [event(AGENTS[3], 0)])
    grown = Flow(partitions=3, windows=flow.windows)
    grown.sessions = {k: ShardSessions(grown.config, s.snapshot()) for k, s in flow.sessions.items()}
    grown.finish()
    assert [(r["agent_id"], r["count"]) for r in grown.rows] == [(AGENTS[3], 1)]


def test_a_batch_larger_than_one_sum() -> None:
    """A session over more events than can be summed at once is one session."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=0)])
    rows = MAX_BATCH_EVENTS + 3
    columns = columns_of([event(AGENTS[0], 0, 1.0)], GRID, METRICS)
    columns = {name: np.repeat(values, rows) for name, values in columns.items()} | {
        "time_us": np.arange(rows)
    }
    flow.take(flow.sources[0].accept(columns, origin(0)))
    flow.finish()
    assert [(r["count"], r["energy_sum"], r["end_us"]) for r in flow.rows] == [(rows, float(rows), rows + 4)]


def test_what_was_not_asked_for_is_null() -> None:
    """Aggregates that the window does not publish are NaN, and the columns are those that are announced."""
    window = SessionWindow("w", gap_us=5, lateness_us=0)
    combine = SessionCombine([window], LAYOUT, 1, get_backend("numpy"))
    sessions = ShardSessions(SessionConfig((window,), (frozenset(("count", "max")),), LAYOUT, 1))
    source = Ingest(IngestConfig(GRID, METRICS, least_lateness_us=0, lateness_us=0))
    batches = [
        source.accept(columns_of([event(1, 0, 7.0)], GRID, METRICS), origin(0)),
        source.finish(origin(0)),
    ]
    (found,) = sessions.on_messages(message for batch in batches for _, message in combine(batch))
    assert list(found.columns) == [*session_columns(LAYOUT), "revision", "withdrawn"]
    assert all(found.columns[n].dtype == d for n, d in session_columns(LAYOUT).items())
    (row,) = rows_of(found)
    assert (row["energy_count"], row["energy_max"], row["speed_mps_count"]) == (1, 7.0, 0)
    assert all(math.isnan(row[n]) for n in ("energy_sum", "energy_mean", "energy_var", "speed_mps_max"))


def test_runs_in_the_engine() -> None:
    """The steps give the same in a Bytewax flow, and the end of its input publishes nothing by itself."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    batches = [
        flow.sources[0].accept(columns_of([event(AGENTS[0], t)], GRID, METRICS), origin(0)) for t in (0, 100)
    ]
    out: list[tuple[str, Sessions]] = []
    graph = Dataflow("sessions")
    stream = op.flat_map("combine", op.input("in", graph, TestingSource(batches)), flow.combine)
    found = keyed("session", stream, partial(ShardSessions, flow.config))
    op.output("out", found, TestingSink(out))
    run_main(graph)
    assert [[row["start_us"] for row in rows_of(sessions)] for _, sessions in out] == [[0]]
    assert all(str(sessions.shard) == key for key, sessions in out)


def test_messages_name_what_they_are_about() -> None:
    """A shard without events hears of a partition when it passes a tick, pauses or comes back, and else nothing."""
    flow = Flow(shards=2, windows=[SessionWindow("w", gap_us=80, lateness_us=0)])
    source = flow.sources[0]

    def told(time_us: int) -> list[SessionMessage]:
        batch = source.accept(columns_of([event(AGENTS[0], time_us)], GRID, METRICS), origin(0))
        return [message for _, message in flow.combine(batch)]

    assert [len(told(t)) for t in (1, 2, 9, 10)] == [2, 1, 1, 2]
    assert [m.idle for _, m in flow.combine(source.pause(origin(0)))] == [True, True]
    assert [m.idle for m in told(11)] == [False, False]
