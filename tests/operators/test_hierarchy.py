"""The hierarchy: conserved from level to level, the same from any framing, division and after restarts."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hierarchy import COUPLING, METRIC, SCALES_US, Flow, levels
from hypothesis import example, given, settings
from hypothesis import strategies as st
from population import Event

from kernels.grid import Grid
from kernels.pyramid import POINT

GRID = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (40, 9, 2))


def events() -> st.SearchStrategy[Event]:
    """Events in few cells of several blocks, so that regions are touched again."""
    place = st.tuples(
        st.sampled_from((0.5, 1.5, 7.5, 8.5, 39.5)), st.sampled_from((0.5, 8.5)), st.sampled_from((0.5, 1.5))
    )
    return st.builds(
        Event, agent_id=st.integers(1, 4), time_us=st.integers(0, 150), seq=st.just(0), xyz=place,
        level=st.sampled_from((0, 0, 1, 3, 4, 6)), speed=st.sampled_from((1.0, 2.5, 40.0, math.nan)), heading=st.just(0.0),
    )  # fmt: skip


PARTITIONS = st.lists(
    st.lists(events(), max_size=25).map(lambda rows: sorted(rows, key=lambda e: e.time_us + e.agent_id * 2)),
    min_size=1, max_size=3,
)  # fmt: skip
ACTIONS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 7)), min_size=1, max_size=40)


def play(flow: Flow, partitions: Sequence[Sequence[Event]], actions: Sequence[tuple[int, int]]) -> None:
    """Deliver the events as `actions` say: which partition is next, how much of it, restarts and silence in between."""
    at, turn = [0] * len(partitions), 0
    while left := [p for p, rows in enumerate(partitions) if at[p] < len(rows)]:
        pick, size = actions[turn % len(actions)]
        turn += 1
        partition = left[pick % len(left)]
        if pick == 8:
            flow.restart()
        if pick == 9:
            flow.pause(partition)
        flow.feed(partition, partitions[partition][at[partition] : at[partition] + size])
        at[partition] += size
    flow.finish()


def value(fixed: int | None) -> float:
    """A fixed-point number in the metric's unit."""
    return math.nan if fixed is None else fixed / (METRIC.scale * POINT)


def by_step(rows: list[dict[str, Any]]) -> dict[tuple[int, ...], dict[str, Any]]:
    """Rows by (level, step, region)."""
    keys = [(r["level"], r["time_us"] // SCALES_US[r["level"]] - 1, r["cx"], r["cy"], r["cz"]) for r in rows]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, rows, strict=True))


def _still(time_us: int) -> Event:
    return Event(1, time_us, 0, (0.5, 0.5, 0.5), 0, 1.0, 0.0)


@settings(max_examples=30)
@given(PARTITIONS, ACTIONS, st.integers(1, 3), st.sampled_from((8, 16, 64)))
# A tick is said again that had no directives, and has none.
@example([[*[_still(0)] * 6, _still(13)], [_still(0)] * 2], [*[(0, 1)] * 7, (9, 1)], 1, 8)
def test_levels_are_those_of_an_obvious_loop(
    partitions: list[list[Event]], actions: list[tuple[int, int]], shards: int, tick_us: int
) -> None:
    """Bit by bit, whatever the framing, the interleaving, restarts, shards, ticks, and who was idle when."""
    flow = Flow(GRID, len(partitions), shards, tick_us)
    play(flow, partitions, actions)
    expected, got = levels(dict(enumerate(partitions)), GRID), by_step(flow.found.rows("levels"))
    assert got.keys() == expected.keys()
    for key, row in expected.items():
        assert (got[key]["events"], got[key]["agents"]) == (row["events"], row["agents"]), key
        assert (got[key]["speed_mps_count"], got[key]["speed_mps_sum"]) == (
            row["n"],
            row["total"] / METRIC.scale,
        )
        pair = (got[key]["speed_mps_mean"], got[key]["speed_mps_state"])
        assert pair == pytest.approx((value(row["mean"]), value(row["state"])), rel=0, abs=0, nan_ok=True), (
            key
        )
    check_directives(flow.found.rows("directives"), expected)


def check_directives(rows: list[dict[str, Any]], expected: dict[tuple[int, ...], dict[str, Any]]) -> None:
    """Upward goes what a region saw and how far that lay from its state; downward its state, and how far it lies off."""
    wanted = {}
    for (level, step, *region), row in expected.items():
        if row["mean"] is None:
            continue
        if row["before"] not in (None, row["mean"]) and level < 6:
            wanted[level, level + 1, step, *region] = (value(row["mean"]), value(row["mean"] - row["before"]))
        if row["state"] != row["mean"] and level > 0:
            wanted[level, level - 1, step, *region] = (value(row["state"]), value(row["state"] - row["mean"]))
    got = {
        (r["level"], r["to_level"], r["time_us"] // SCALES_US[r["level"]] - 1, r["cx"], r["cy"], r["cz"]): (
            r["speed_mps_value"], r["speed_mps_gap"]
        )
        for r in rows
    }  # fmt: skip
    assert got == wanted


def test_each_level_has_all_that_there_is() -> None:
    """Events, values and sums are the same on every level: nothing is lost and nothing counted twice."""
    rows = [
        Event(n % 5, 3 * n, 0, (n % 40 + 0.5, n % 9 + 0.5, n % 2 + 0.5), 0, n % 7 + 0.5, 0.0)
        for n in range(200)
    ]
    flow = Flow(GRID, 1, 3)
    play(flow, [rows], [(0, 7)])
    totals = {
        tuple(sum(r[name] for r in flow.found.rows("levels") if r["level"] == level)
              for name in ("events", "speed_mps_count", "speed_mps_sum"))
        for level in range(7)
    }  # fmt: skip
    assert totals == {(200, 200.0, sum(n % 7 + 0.5 for n in range(200)))}


def test_a_state_follows_its_mean_by_the_coupling() -> None:
    """Under a mean that jumps once, the state closes a tenth of what is left each step: the gap after n is 0.9 ** n."""
    jump = [Event(1, 0, 0, (0.5, 0.5, 0.5), 0, 10.0, 0.0)]
    jump += [Event(1, n, 0, (0.5, 0.5, 0.5), 0, 50.0, 0.0) for n in range(1, 31)]
    flow = Flow(GRID, 1, 1)
    play(flow, [jump], [(0, 4)])
    states = [r["speed_mps_state"] for _, r in sorted(by_step(flow.found.rows("levels")).items())[:31]]
    for n, state in enumerate(states):
        assert 50.0 - state == pytest.approx(40.0 * 0.9**n, abs=30 / (METRIC.scale * POINT))
    assert round(0.1 * 2**20) == COUPLING
