"""The population: every agent in one place, the same from any framing, interleaving, division and after restarts."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from population import LATENESS_US, TICK_US, Event, Flow, alive, groups, near, nearest

from kernels.grid import Grid
from kernels.scorer import Scorer
from operators.decisions import Decision, DecisionLog, encode
from operators.routed import Routed, Trial
from operators.swapped import Swapped

ROOT = Path(__file__).parents[2]
GRID = Grid((-4.0, 0.0, 0.0), (2.0, 2.0, 4.0), (5, 4, 2))
HEADINGS = (0.0, 0.7, 1.5, -3.0, math.nan)


def events() -> st.SearchStrategy[Event]:
    """Events of few agents, so that they move, meet, leave and come back; on halves of a metre, so that distances tie."""
    return st.builds(
        Event,
        agent_id=st.integers(1, 5),
        time_us=st.integers(0, 120),
        seq=st.integers(0, 2),
        xyz=st.tuples(
            st.integers(-8, 11).map(lambda n: n / 2), st.integers(0, 15).map(lambda n: n / 2),
            st.integers(0, 15).map(lambda n: n / 2),
        ),
        level=st.integers(0, 1),
        speed=st.sampled_from((1.0, 2.5, 40.0, math.nan)),
        heading=st.sampled_from(HEADINGS),
    )  # fmt: skip


def nearly_in_order(rows: list[Event]) -> list[Event]:
    """By time, but for pairs that are swapped: some of them late, most not."""
    rows = sorted(rows, key=lambda e: e.time_us)
    for i in range(0, len(rows) - 1, 3):
        rows[i], rows[i + 1] = rows[i + 1], rows[i]
    return rows


PARTITIONS = st.lists(st.lists(events(), max_size=30).map(nearly_in_order), min_size=1, max_size=3)
ACTIONS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 7)), min_size=1, max_size=40)


def play(
    flow: Flow, partitions: Sequence[Sequence[Event]], actions: Sequence[tuple[int, int]], *, idle: bool
) -> None:
    """Deliver the events as `actions` say: which partition is next, how much of it, restarts and silence in between."""
    at, turn = [0] * len(partitions), 0
    while any(first < len(rows) for first, rows in zip(at, partitions, strict=True)):
        pick, size = actions[turn % len(actions)]
        turn += 1
        left = [p for p, rows in enumerate(partitions) if at[p] < len(rows)]
        partition = left[pick % len(left)]
        if pick == 8:
            flow.restart()
        if pick == 9 and idle:
            flow.pause(partition)
        flow.feed(partition, partitions[partition][at[partition] : at[partition] + size])
        at[partition] += size
    flow.finish()


def check(flow: Flow, partitions: Mapping[int, Sequence[Event]]) -> None:
    """Compare what the flow said with the reference."""
    expected = alive(partitions)
    rows = flow.found.rows("agents")
    assert [(r["time_us"], r["agent_id"]) for r in rows] == [
        (time_us, agent) for time_us in expected for agent in sorted(expected[time_us])
    ]
    found: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for row in sorted(flow.found.rows("neighbours"), key=lambda r: r["rank"]):
        found.setdefault((row["time_us"], row["agent_id"]), []).append((row["other_id"], row["distance_m"]))
    for row in rows:
        living = expected[row["time_us"]]
        event = living[row["agent_id"]]
        assert (row["seen_us"], row["seq"], row["level"]) == (event.time_us, event.seq, event.level)
        assert (row["x_m"], row["y_m"], row["z_m"]) == event.xyz
        around = near(living.values(), event, GRID)
        assert row["near"] == len(around)
        assert math.isnan(row["near_heading_rad"]) == all(math.isnan(e.heading) for e in around)
        pairs = nearest(living, event, k=flow.neighbours, radius_m=min(GRID.cell_m))
        assert found.get((row["time_us"], row["agent_id"]), []) == pairs
    check_groups(flow.found.rows("regions"), expected, flow.edge_bits)


def check_groups(
    rows: list[dict[str, Any]], expected: Mapping[int, Mapping[int, Event]], edge_bits: int
) -> None:
    """Compare the groups with the reference."""
    got = {(r["time_us"], r["cx"], r["cy"], r["cz"], r["level"]): r for r in rows}
    wanted = {
        (time_us, *key): group
        for time_us, living in expected.items()
        for key, group in groups(living.values(), GRID, edge_bits).items()
    }
    assert got.keys() == wanted.keys()
    for key, group in wanted.items():
        for name, value in group.items():
            assert got[key][name] == pytest.approx(value, abs=2e-6, nan_ok=True), (key, name)


@settings(max_examples=30)
@given(PARTITIONS, ACTIONS, st.integers(1, 9))
def test_the_population_is_that_of_an_obvious_loop(
    partitions: list[list[Event]], actions: list[tuple[int, int]], shards: int
) -> None:
    """Whatever the framing, the interleaving, the restarts and the number of shards; an agent may even change partition."""
    flow = Flow(GRID, len(partitions), shards)
    play(flow, partitions, actions, idle=False)
    assert all(result.revision == 0 for result in flow.found.values())
    check(flow, dict(enumerate(partitions)))


@settings(max_examples=30)
@given(PARTITIONS, ACTIONS, st.integers(1, 9))
def test_partitions_that_were_idle_leave_no_trace(
    partitions: list[list[Event]], actions: list[tuple[int, int]], shards: int
) -> None:
    """What was said without them is said again, and the last word is that of a run in which nobody was idle."""
    flow = Flow(GRID, len(partitions), shards)
    play(flow, partitions, actions, idle=True)
    check(flow, dict(enumerate(partitions)))


def test_a_partition_that_comes_back_makes_ticks_be_said_again() -> None:
    """An agent that moved while its partition was thought idle leaves the place that it was said to be in."""
    here, there = (-3.0, 1.0, 1.0), (5.0, 7.0, 7.0)
    other = [Event(9, t, 0, here, 0, 1.0, 0.0) for t in range(0, 100, 10)]
    mover = [Event(1, 1, 0, here, 0, 1.0, 0.0), *(Event(1, t, 0, there, 0, 1.0, 0.0) for t in (22, 44))]
    flow = Flow(GRID, 2, 6)
    flow.feed(1, mover[:1])
    flow.pause(1)
    flow.feed(0, other[:8])
    gone = [r["time_us"] for r in flow.found.rows("agents") if r["agent_id"] == 1]
    assert gone == [10, 20]
    flow.restart()
    flow.feed(1, mover[1:])
    flow.feed(0, other[8:])
    flow.finish()
    assert max(result.revision for result in flow.found.values()) > 0
    check(flow, {0: other, 1: mover})


def test_the_same_bits_from_any_division_and_backend() -> None:
    """Shards, regions' place in them and the backend change nothing of what is exact, down to the last bit."""
    rng = np.random.default_rng(3)
    low, high = np.array(GRID.min_m), np.array(GRID.upper_m)
    rows = [
        Event(
            int(rng.integers(40)), t, 0, tuple(np.float32(rng.uniform(low, high)).tolist()), int(rng.integers(3)),
            float(rng.integers(60)), float(np.float32(rng.uniform(-4, 8))),
        )
        for t in range(0, 400, 2)
    ]  # fmt: skip
    seen = []
    for shards, backend in ((1, "numpy"), (3, "numpy"), (4, "onnx-cpu")):
        flow = Flow(GRID, 2, shards, backend=backend)
        play(flow, [rows[::2], rows[1::2]], [(1, 9), (0, 4)], idle=False)
        agents = [
            {n: v for n, v in r.items() if n not in ("shard", "score")} for r in flow.found.rows("agents")
        ]
        seen.append((agents, flow.found.rows("regions"), flow.found.rows("neighbours")))
    assert len(seen[0][0]) > 400
    for other in seen[1:]:
        for one, two in zip(seen[0], other, strict=True):
            np.testing.assert_equal(two, one)


def test_a_late_event_is_taken_by_its_lateness_and_not_by_the_batch() -> None:
    """An event behind its partition by the lateness counts; one microsecond more and it does not, in one batch or in two."""
    first = Event(1, 100, 0, (0.0, 1.0, 1.0), 0, 1.0, 0.0)
    for behind_us, counts in ((LATENESS_US, True), (LATENESS_US + 1, False)):
        second = first._replace(agent_id=2, time_us=100 - behind_us)
        for cut in (1, 2):
            flow = Flow(GRID, 1, 2)
            play(flow, [[first, second]], [(0, cut)], idle=False)
            last = [r["agent_id"] for r in flow.found.rows("agents") if r["time_us"] == 100 + TICK_US]
            assert last == ([1, 2] if counts else [1])


def _scorers() -> tuple[Scorer, Scorer]:
    """Return the model of speeds on numpy, and one that stands for its fast path: ONNX Runtime's, with other scores."""
    data = (ROOT / "models" / "swift.onnx").read_bytes()
    other = onnx.load_from_string(data)
    weights = next(each for each in other.graph.initializer if each.name == "w")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) / 2, weights.name))
    return Scorer.load(data, backend="numpy"), Scorer.load(other.SerializeToString(), backend="onnx-cpu")


def test_agents_are_scored_on_the_path_of_their_tick(tmp_path: Path) -> None:
    """From major on numpy scores the agents, from the end of the tick that was decided on; a restart changes nothing."""
    safe, fast = _scorers()
    path, border_us = tmp_path / "d.jsonl", 2 * TICK_US
    path.write_bytes(b"".join(encode(Decision(*each)) + b"\n" for each in ((60, 2), (120, 0))))
    log = DecisionLog(path, border_us, obeyed=True)
    routed = Routed(fast, safe, log, Trial())
    rows = [
        Event(agent, t, 0, (0.0, 1.0, 1.0), 0, 10 + t / 16 + agent, 0.0)
        for t in range(0, 180, 4)
        for agent in (1, 2)
    ]
    seen = []
    for actions in ([(0, 3)], [(8, 7), (0, 2)]):  # one of them with restarts
        flow = Flow(GRID, 1, 3, model=Swapped("swift", routed, log, lambda _: routed))
        play(flow, [rows], actions, idle=False)
        seen.append([(row["time_us"], row["speed_mps"], row["score"]) for row in flow.found.rows("agents")])
    assert seen[0] == seen[1]
    assert {time_us for time_us, *_ in seen[0]} >= {50, 60, 110, 120, 130}
    for time_us, speed, score in seen[0]:
        by = safe if 60 <= time_us < 120 else fast
        assert score == by.score(np.array([[speed]], np.float32))[0]
