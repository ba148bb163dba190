"""Reliability 7: late within the lateness, and beyond it."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from stream import Stream, events

from kernels.frame import encode_frame

LATENESS_US, WINDOW_US = 5_000_000, 10_000_000


def disordered(rng: random.Random, count: int) -> list[float]:
    """Times in seconds that go on by half a second, and fall back by up to twice the lateness, or by exactly it."""
    times, now = [], 0.0
    for _ in range(count):
        now += 0.5
        times.append(now - rng.choice([0, 0, 0, rng.uniform(0, 10), 5.0, 5.000001, 4.999999]))
    return times


def expected(partitions: list[list[float]]) -> tuple[Counter[int], set[tuple[int, int]]]:
    """Count the events of each window, and tell which (partition, time) are late: one event after the other."""
    windows: Counter[int] = Counter()
    late = set()
    for number, times in enumerate(partitions):
        latest = None
        for time_us in (round(t * 1e6) for t in times):
            if latest is not None and latest - time_us > LATENESS_US:
                late.add((number, time_us))
            else:
                windows[time_us // WINDOW_US * WINDOW_US] += 1
            latest = time_us if latest is None else max(latest, time_us)
    return windows, late


@pytest.mark.parametrize("seed", [1, 2])
def test_each_event_is_in_its_window_or_in_the_late_stream(
    seed: int, make_stream: Callable[[], Stream]
) -> None:
    """Exactly, and the same for any framing: records of 1 to 40 events."""
    rng = random.Random(seed)
    partitions = [disordered(rng, 400), disordered(rng, 300)]
    windows, late = expected(partitions)
    assert late
    digests = set()
    for _ in range(2):
        stream, sent = make_stream(), dict[tuple[int, int, int], int]()
        for number, times in enumerate(partitions):
            first = 0
            while first < len(times):
                some = times[first : first + rng.randint(1, 40)]
                columns = events(some, 1000 * number + first)
                offset = stream.send(number, encode_frame(columns))
                sent |= {(number, offset, row): us for row, us in enumerate(columns["time_us"].tolist())}
                first += len(some)
        found = stream.run()
        counts = Counter[int]()
        for cell in found.cells:
            counts[cell["start_us"]] += cell["count"]
        assert counts == windows
        assert {(row["partition"], row["time_us"]) for row in found.late} == late
        assert all(sent[r["partition"], r["offset"], r["row"]] == r["time_us"] for r in found.late)
        assert {"agent_id", "x_m", "speed_mps", "behind_us"} <= set(found.late[0])
        digests.add(found.summary["digest"])
    assert len(digests) == 1


def test_the_border_is_the_lateness_itself(stream: Stream) -> None:
    """5 s behind is in time, a microsecond more is late; what is late does not move the border."""
    offset = stream.send(0, encode_frame(events([100, 95, 94.999999, 100.000001, 95.000001, 95])))
    found = stream.run()
    assert [(row["offset"], row["row"], row["behind_us"]) for row in found.late] == [
        (offset, 2, 5_000_001), (offset, 5, 5_000_001),
    ]  # fmt: skip
    assert found.summary["windowed"] == 4
