"""The rules against a loop over events, under any framing, with silences, nulls, steps back and restarts."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.findings import Findings
from kernels.watch import CAUSAL, ENERGY, INFORMATION, Bounds, Watch

Columns = dict[str, NDArray[Any]]
Found = tuple[int, int, float, float, str, bool]

BOUNDS = Bounds(
    power=100.0, slack=20.0, ranges={"speed_mps": (0.0, 90.0)}, quarantine_us=2_000_000, silence_us=5_000_000
)


def events(seed: int, count: int, agents: int) -> Columns:
    """Events of few agents: ascending times with silences and steps back; some nulls; numbers that repeat."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 2**64, agents, dtype=np.uint64)
    steps_us = rng.choice(
        [0, 40_000, 900_000, -300_000, 6_000_000, -5_500_000], count, p=[0.1, 0.4, 0.3, 0.1, 0.05, 0.05]
    )
    columns: Columns = {"agent_id": rng.choice(ids, count), "time_us": np.cumsum(steps_us)}
    columns |= {name: np.zeros(count, np.float32) for name in ("x_m", "y_m", "z_m")}
    columns["energy"] = rng.normal(0, 100, count).astype(np.float32)
    columns["speed_mps"] = rng.normal(45, 30, count).astype(np.float32)
    for name in ("energy", "speed_mps"):
        columns[name][rng.random(count) < 0.2] = np.nan
    columns["seq"] = rng.choice([0, 1, 2, 3, 2**31, 2**32 - 1], count).astype(np.uint32)
    return columns


def loop(columns: Columns, bounds: Bounds) -> tuple[list[Found], list[bool]]:
    """The same one event after the other: what is found, and which rows are in quarantine."""
    last: dict[int, dict[str, Any]] = {}
    newest_us, found, marked = -(2**62), [], []
    for i in range(len(columns["agent_id"])):
        now = {name: column[i].item() for name, column in columns.items()}
        newest_us = max(newest_us, now["time_us"])
        before = last.get(now["agent_id"], {})
        if before and before["time_us"] < newest_us - bounds.silence_us:
            before = {}
        violations = list(rules(now, before, bounds))
        violated_us = now["time_us"] if violations else before.get("violated_us")
        earlier_us = before.get("violated_us")
        entered = earlier_us is None or now["time_us"] - earlier_us >= bounds.quarantine_us
        found += [(i, *each, entered) for each in violations]
        marked.append(violated_us is not None and now["time_us"] - violated_us < bounds.quarantine_us)
        has = not np.isnan(now["energy"])
        since = {
            name: now[of] if has else before.get(name) for name, of in (("e", "energy"), ("e_us", "time_us"))
        }
        last[now["agent_id"]] = now | since | {"violated_us": violated_us}
    return found, marked


def rules(now: dict[str, Any], before: dict[str, Any], bounds: Bounds) -> Any:
    """What `now` violates."""
    if before.get("e") is not None and not np.isnan(now["energy"]):
        change = abs(now["energy"] - before["e"])
        bound = bounds.power * max((now["time_us"] - before["e_us"]) * 1e-6, 0) + bounds.slack
        if change > bound:
            yield ENERGY, change, bound, "energy"
    if before and now["time_us"] < before["time_us"]:
        yield CAUSAL, (before["time_us"] - now["time_us"]) * 1e-6, 0.0, "time_us"
    if before and now["seq"] and before["seq"] and not 0 < (now["seq"] - before["seq"]) % 2**32 < 2**31:
        yield CAUSAL, float(now["seq"]), float(before["seq"]), "seq"
    low, high = bounds.ranges["speed_mps"]
    if now["speed_mps"] < low or now["speed_mps"] > high:
        yield INFORMATION, now["speed_mps"], low if now["speed_mps"] < low else high, "speed_mps"


def listed(found: Findings, start: int = 0) -> list[Found]:
    """Findings as tuples."""
    columns = (found.row + start, found.rule, found.value, found.bound, found.column, found.entered)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(0, 80), cuts=st.lists(st.integers(0, 80), max_size=4)
)
def test_any_framing_finds_what_a_loop_finds(seed: int, count: int, cuts: list[int]) -> None:
    """Whatever the batches, and with a restart from a snapshot after each."""
    columns = events(seed, count, agents=3)
    expected, marked = loop(columns, BOUNDS)
    watch, found, quarantined = Watch(BOUNDS), [], []
    edges = [0, *sorted(min(cut, count) for cut in cuts), count]
    for first, end in pairwise(edges):
        batch = watch.check({name: values[first:end] for name, values in columns.items()})
        found += listed(batch, first)
        quarantined += batch.quarantined.tolist()
        state, watch = watch.snapshot(), Watch(BOUNDS)
        watch.restore(state)
    assert quarantined == marked
    assert [(f[0], f[1], f[4], f[5]) for f in found] == [(f[0], f[1], f[4], f[5]) for f in expected]
    np.testing.assert_allclose([f[2:4] for f in found], [f[2:4] for f in expected])


def test_many_rows_are_chunked_without_a_seam() -> None:
    """More rows than one chunk holds give what the loop gives."""
    columns = events(1, 100_000, agents=5_000)
    expected, marked = loop(columns, BOUNDS)
    found = Watch(BOUNDS).check(columns)
    assert found.quarantined.tolist() == marked
    assert [f[:2] for f in listed(found)] == [f[:2] for f in expected]
    assert len(expected) > 10_000


@pytest.mark.parametrize("rule", [ENERGY, CAUSAL, INFORMATION])
def test_a_rule_that_is_not_watched_finds_nothing(rule: int) -> None:
    """Each can be left out."""
    others = frozenset({ENERGY, CAUSAL, INFORMATION}) - {rule}
    found = Watch(Bounds(others, 100.0, 20.0, BOUNDS.ranges)).check(events(2, 500, 4))
    assert set(found.rule.tolist()) == others


def test_what_was_before_comes_with_a_violation() -> None:
    """The agent's row before it is part of the finding."""
    columns = events(3, 200, 2)
    found = Watch(BOUNDS).check(columns)
    jumps = np.flatnonzero(found.column == "time_us")
    assert len(jumps)
    assert (found.before["time_us"][jumps] > columns["time_us"][found.row[jumps]]).all()
