from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import ConfigError
from service.pacing import Burst, Chunk, Pace, bursts


class Clock:
    """A clock that goes on only while one sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now(self) -> float:
        """The time."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.now_s += seconds + 1e-9


def chunk(times_us: Sequence[int]) -> Chunk:
    """Events at these times."""
    return Chunk({"time_us": np.array(times_us, np.int64)}, {})


def schedule(
    pace: Pace, clock: Clock, parts: Sequence[Sequence[Chunk]], rows: int
) -> list[tuple[float, Burst]]:
    """When each burst goes, in seconds from the first."""
    found = []
    for burst in bursts(parts, rows=rows, pace=pace):
        pace.wait(burst)
        found.append((clock.now() - 100, burst))
    return found


_times = st.lists(st.lists(st.lists(st.integers(-50, 50), max_size=5), max_size=3), min_size=1, max_size=3)


@given(times=_times, rows=st.integers(1, 4), speed=st.none() | st.floats(1e-6, 1e-3))
def test_each_partition_keeps_its_order_and_nothing_is_lost(times, rows, speed) -> None:
    """Bursts hold at most so many rows, and together all of them, in the order of each partition."""
    clock = Clock()
    pace = Pace(speed=speed, now=clock.now, sleep=clock.sleep)
    sent: dict[int, list[int]] = {number: [] for number in range(len(times))}
    for burst in bursts([[chunk(c) for c in part] for part in times], rows=rows, pace=pace):
        values = burst.chunk.columns["time_us"].tolist()
        assert 1 <= len(values) <= rows
        sent[burst.partition] += values
        assert burst.reached_us == max(sent[burst.partition])
    assert sent == {number: [t for c in part for t in c] for number, part in enumerate(times)}


def test_partitions_are_merged_by_event_time() -> None:
    """No partition runs ahead of another one."""
    parts = [[chunk(range(0, 60, 10))], [chunk(range(5, 65, 10))]]
    reached = [b.reached_us for b in bursts(parts, rows=1, pace=Pace())]
    assert reached == sorted(reached)


def test_at_a_speed_event_time_runs_with_the_clock() -> None:
    """At 60, an event that is 2 minutes after the first goes 2 s after it, within a step of 0.1 s."""
    clock = Clock()
    times_us = list(range(0, 120_000_001, 500_000))
    gone = schedule(Pace(speed=60, now=clock.now, sleep=clock.sleep), clock, [[chunk(times_us)]], rows=1000)
    for at_s, burst in gone:
        first_us, last_us = burst.chunk.columns["time_us"][[0, -1]].tolist()
        assert at_s == pytest.approx(last_us / 60e6, abs=0.1)
        assert (last_us - first_us) / 60e6 <= 0.1
    assert gone[-1][0] == pytest.approx(2, abs=0.1)


def test_at_a_rate_no_more_than_that_many_go() -> None:
    """At 1,000 events a second, at most 1,000 s + 100 are out after s seconds, and the last after all but that."""
    clock, sent = Clock(), 0
    for at_s, burst in schedule(
        Pace(rate=1000, now=clock.now, sleep=clock.sleep), clock, [[chunk(range(5000))]], 4096
    ):
        sent += len(burst.chunk.columns["time_us"])
        assert sent <= 1000 * at_s + 101
    assert clock.now() - 100 == pytest.approx(4.9, abs=0.01)


def test_contradictions_are_refused() -> None:
    """One of rate and speed, above 0."""
    with pytest.raises(ConfigError, match="both a rate and a speed"):
        Pace(1, 1)
    with pytest.raises(ConfigError, match="speed is 0, expected more than 0"):
        Pace(speed=0)
