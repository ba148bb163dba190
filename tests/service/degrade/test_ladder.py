"""The ladder: right levels, hysteresis, no flapping."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.degrade.ladder import Ladder, Level

THRESHOLDS = {"latency_s": (1.0, 5.0, 30.0, 300.0), "memory": (0.8, 0.9, 0.95, inf)}
STAY_S = 30.0


def _ladder() -> Ladder:
    return Ladder(THRESHOLDS, stay_s=STAY_S)


@pytest.mark.parametrize(
    ("latency_s", "level"),
    [
        (0.5, Level.NONE),
        (1.0, Level.NONE),
        (1.1, Level.MINOR),
        (6, Level.MAJOR),
        (31, Level.CRITICAL),
        (301, Level.EMERGENCY),
    ],
)
def test_rises_at_once(latency_s: float, level: Level) -> None:
    """A signal above a threshold brings its level at once, however far that is."""
    ladder = _ladder()
    ladder.observe(0, {"latency_s": latency_s})
    assert ladder.level is level


def test_the_worst_signal_decides() -> None:
    """Of several signals the one that asks for most is heard, and named."""
    ladder = _ladder()
    change = ladder.observe(0, {"latency_s": 1.5, "memory": 0.92, "unknown": 1e9})
    assert change is not None
    assert (change.level, change.reason) == (Level.MAJOR, "memory is 0.92, above 0.9")


def test_falls_step_by_step() -> None:
    """All is well again: down one level after each stay, and not before."""
    ladder, levels = _ladder(), []
    ladder.observe(0, {"latency_s": 1000})
    for second in range(1, 130):
        ladder.observe(second, {"latency_s": 0.1})
        levels.append(int(ladder.level))
    assert levels[29] == 4
    assert levels[30] == 3
    assert levels[128] == 0
    assert [levels.count(level) for level in (3, 2, 1)] == [31, 31, 31]


def test_a_signal_at_a_threshold_does_not_flap() -> None:
    """Between what raises a level and what keeps it, nothing changes, for however long."""
    ladder = _ladder()
    ladder.observe(0, {"latency_s": 5.5})
    changes = [ladder.observe(s, {"latency_s": 4.1 if s % 2 else 5.1}) for s in range(1, 1000)]
    assert not any(changes)
    assert ladder.level is Level.MAJOR


@given(st.lists(st.tuples(st.floats(0.1, 5), st.floats(0, 400), st.floats(0, 1)), max_size=200))
def test_bounds(steps: list[tuple[float, float, float]]) -> None:
    """Whatever the signals do: it falls by one, falls are a stay apart, and no level is below what is asked for."""
    ladder, now_s, fell_s, before = _ladder(), 0.0, -inf, Level.NONE
    for step_s, latency_s, memory in steps:
        now_s += step_s
        ladder.observe(now_s, {"latency_s": latency_s, "memory": memory})
        asked = max(
            sum(value > threshold for threshold in THRESHOLDS[name])
            for name, value in (("latency_s", latency_s), ("memory", memory))
        )
        assert ladder.level >= asked
        if ladder.level < before:
            assert before - ladder.level == 1
            assert now_s - fell_s >= STAY_S
            fell_s = now_s
        before = ladder.level
