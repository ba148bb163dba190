"""Causes over partitions: whatever the batches, their order and the restarts, the same violations, once each."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.lateness import END_US, START_US
from kernels.schema import Columns
from operators.batch import Batch, Origin
from operators.causes import AskCauses, Causes, Patience
from operators.result import Result

PATIENCE = Patience(wait_us=10, reach_us=30, lateness_us=5, horizon_us=1_000)
Event = tuple[int, int, int, int, int]  # agent, seq, time, agent and seq of the cause
EVENT = st.tuples(*(st.integers(0, high) for high in (3, 3, 100, 3, 3)))


def batch(partition: int, events: list[Event], before_us: int) -> Batch:
    """Events in time order as a batch of a partition."""
    columns: Columns = {}
    after_us = before_us
    if events:
        names = (
            ("agent_id", "u8"),
            ("seq", "u4"),
            ("time_us", "i8"),
            ("cause_agent", "u8"),
            ("cause_seq", "u4"),
        )
        values = zip(names, zip(*events, strict=True), strict=True)
        columns = {name: np.array(column, code) for (name, code), column in values}
        after_us = int(columns["time_us"].max())
    return Batch(columns, Origin.nowhere("t", partition), before_us, after_us)


def run(
    parts: list[list[Event]], keys: int, turns: list[int], size: int, *, restart: bool
) -> list[tuple[Any, ...]]:
    """Feed the partitions in turn, `size` events at a time, and end them; return the violations sorted."""
    ask, steps = AskCauses(keys, PATIENCE), [Causes(len(parts), PATIENCE) for _ in range(keys)]
    left, at_us = [list(part) for part in parts], [START_US] * len(parts)
    found: list[Result] = []

    def feed(own: Batch) -> None:
        for key, told in ask(own):
            found.extend(steps[int(key)].on_messages([told]))
            if restart:
                steps[int(key)] = Causes(len(parts), PATIENCE, steps[int(key)].snapshot())

    for turn in [*turns, *(k for k in range(len(parts)) for _ in parts[k])]:
        own, left[turn] = left[turn][:size], left[turn][size:]
        if own:
            feed(batch(turn, own, at_us[turn]))
            at_us[turn] = own[-1][2]
    for k in range(len(parts)):
        feed(Batch({}, Origin.nowhere("t", k), at_us[k], END_US))
    return sorted(tuple(r.columns[n][0] for n in ("time_us", "agent_id", "reason")) for r in found)


def expected(parts: list[list[Event]]) -> list[tuple[int, int]]:
    """Time and agent of each event, once, whose cause is not there from 30 before it to itself."""
    everything = [event for part in parts for event in part]
    wrong = {
        (k, *event)
        for k, part in enumerate(parts)
        for event in part
        if event[4]
        and not any(o[:2] == event[3:] and o[1] and -30 <= o[2] - event[2] <= 0 for o in everything)
    }
    return sorted((event[3], event[1]) for event in wrong)


@given(
    st.lists(st.lists(EVENT, max_size=12), min_size=2, max_size=3),
    st.lists(st.integers(0, 1), max_size=20),
    st.integers(1, 4),
    st.sampled_from([1, 3]),
    st.booleans(),
)
def test_the_answer_depends_on_the_events_alone(
    parts: list[list[Event]], turns: list[int], size: int, keys: int, restart: bool
) -> None:
    """Not on batches, turns, keys or restarts; and it is what looking through all events gives."""
    parts = [sorted(part, key=lambda event: event[2]) for part in parts]
    found = run(parts, keys, turns, size, restart=restart)
    assert found == run(parts, 1, [], 100, restart=False)
    assert sorted(row[:2] for row in found) == expected(parts)


def test_a_cause_is_waited_for() -> None:
    """Where the partitions have passed the effect, but not by as long as a cause may come after it, nothing is said yet."""
    parts = [[(1, 1, 50, 2, 1), (1, 2, 58, 0, 0)], [(3, 1, 55, 0, 0), (2, 1, 56, 0, 0)]]
    found = run(parts, 1, [0, 0, 1, 1], 1, restart=False)
    assert [row[2] for row in found] == ["its cause happened 6e-06 s after it"]


@pytest.mark.parametrize(
    ("cause_us", "said"),
    [(50, None), (55, "happened 5e-06 s after it"), (70, "did not happen within 3e-05 s before it")],
)
def test_a_cause_must_come_before_its_effect(cause_us: int, said: str | None) -> None:
    """At the same time is in time; later is told by how much; much later is not the cause."""
    effect, cause = (1, 1, 50, 2, 1), (2, 1, cause_us, 0, 0)
    found = run([[effect], [cause]], 1, [], 1, restart=False)
    assert [row[2] for row in found] == ([] if said is None else [f"its cause {said}"])
