"""Sessions of partitions that were idle and come back: withdrawn, joined, published once more, and forgotten in time."""

from driver import columns_of, interleave, split
from hypothesis import given, settings
from hypothesis import strategies as st
from partitions import origin
from reference import Row
from sessions import AGENTS, EVENTS, GRID, METRICS, PICKS, SIZES, Flow, check, event, rows_of

from kernels.sessions import SessionWindow
from operators.session_combine import SessionMessage


@given(EVENTS, SIZES, PICKS, st.lists(st.integers(0, 2), max_size=20), st.integers(0, 4))
@settings(max_examples=200)
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
    check(flow, partitions)


def _merge(flow: Flow) -> None:
    """Let partition 1 bring what joins two sessions that were published while it was idle."""
    here, there = AGENTS[3], AGENTS[0]
    flow.feed(1, [event(here, 10, 1.0), event(here, 20, 2.0)])
    flow.pause(1)
    flow.pause(2)
    flow.feed(0, [event(there, 1000)])
    flow.feed(1, [event(here, 18, 8.0), event(here, 14, 4.0)])


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
    flow.feed(1, [event(agent, 10)])
    flow.pause(1)
    flow.pause(2)
    flow.feed(0, [event(AGENTS[0], 1000)])
    flow.feed(1, [event(agent, 15), event(AGENTS[4], 5000)])
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
    flow.feed(1, [event(agent, 0), event(agent, 200)])
    flow.pause(1)
    flow.pause(2)
    flow.feed(0, [event(AGENTS[0], 9000)])
    flow.feed(1, [event(AGENTS[4], 202)])
    flow.feed(1, [event(agent, 50)])
    assert [(r["start_us"], r["withdrawn"]) for r in flow.rows] == [(0, False), (200, False)]
    flow.restart()
    flow.finish()
    own = [(r["start_us"], r["count"], r["withdrawn"]) for r in flow.rows if r["agent_id"] == agent]
    assert own == [(0, 1, False), (200, 1, False), (0, 1, True), (0, 2, False)]
    flow.standing()


def test_a_partition_that_is_back_is_given_its_time() -> None:
    """A session of a partition that has come back far behind the others waits for that partition alone."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    flow.feed(1, [event(AGENTS[3], 0)])
    flow.pause(1)
    flow.pause(2)
    flow.feed(0, [event(AGENTS[0], 1000)])
    flow.feed(1, [event(AGENTS[3], 50)])
    assert [(r["agent_id"], r["start_us"]) for r in flow.rows] == [(AGENTS[3], 0)]


def test_a_partition_that_comes_back_with_its_end_is_published() -> None:
    """What an idle partition brings is published, although the others were at the end before, and it is there at once."""
    flow = Flow(windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    flow.feed(1, [event(AGENTS[3], 0)])
    flow.pause(1)
    for other in (0, 2):
        flow.take(flow.sources[other].finish(origin(other)))
    rows = [event(AGENTS[3], time_us) for time_us in (50, 53)]
    batches = [
        flow.sources[1].accept(columns_of(rows, GRID, METRICS), origin(1)),
        flow.sources[1].finish(origin(1)),
    ]
    told: dict[str, list[SessionMessage]] = {}
    for batch in batches:
        for key, message in flow.combine(batch):
            told.setdefault(key, []).append(message)
    for key, messages in told.items():
        for found in flow.sessions[key].on_messages(messages):
            flow.rows += rows_of(found)
    assert [(r["agent_id"], r["start_us"], r["count"]) for r in flow.rows] == [
        (AGENTS[3], 0, 1),
        (AGENTS[3], 50, 2),
    ]


def test_what_waits_for_an_idle_partition_does_not_grow() -> None:
    """While a partition is idle nothing is kept for it but what it had brought, and final sessions are forgotten."""
    flow = Flow(shards=1, windows=[SessionWindow("w", gap_us=5, lateness_us=8)])
    flow.feed(1, [event(AGENTS[3], 0)])
    flow.pause(1)
    flow.pause(2)
    sizes = []
    for time_us in range(100, 5000, 100):
        flow.feed(0, [event(AGENTS[0], time_us)])
        sizes.append(len(flow.sessions["0"].snapshot()))
    assert max(sizes) - min(sizes) < 16, "a watermark takes a few bytes more or less"
