"""The flow of cells equals the obvious reference, whatever the framing, interleaving, shards and restarts."""

import math
from collections.abc import Sequence

import pytest
import reference
from driver import Flow, interleave, split
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference import Row

from kernels.grid import Grid
from kernels.metric import Metric
from kernels.panes import Window

GRID = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (4, 3, 2))
METRICS = (Metric("energy", 0.5, -1000.0, 1000.0), Metric("speed_mps", 0.001, -10.0, 10.0))
WINDOWS = (
    Window("short", length_us=10, slide_us=10, lateness_us=3, agents=True),
    Window("sliding", length_us=30, slide_us=10, lateness_us=3),
    Window("patient", length_us=20, slide_us=20, lateness_us=8, agents=True),
    Window("odd", length_us=25, slide_us=10, lateness_us=8),
)


def _rows() -> st.SearchStrategy[Row]:
    steps = st.none() | st.integers(-900, 900).map(lambda v: v / 4)
    small = st.none() | st.integers(-9000, 9000).map(lambda v: v / 1024)
    cell = st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1))
    return st.builds(
        Row, st.integers(1, 5), st.integers(-20, 90), st.integers(0, 2), cell, st.tuples(steps, small)
    )


def _row(agent: int, time_us: int) -> Row:
    return Row(agent, time_us, 0, (0, 0, 0), (1.0, None))


def _repeating(rows: list[Row], copies: list[int]) -> list[Row]:
    """Put copies of rows soon behind them: rows alone hardly ever repeat before they would be late."""
    for copy in copies if rows else []:
        at = copy % len(rows)
        rows = [*rows[: at + 2], rows[at], *rows[at + 2 :]]
    return rows


ROWS = st.builds(_repeating, st.lists(_rows(), max_size=25), st.lists(st.integers(0, 24), max_size=3))
PARTITIONS = st.dictionaries(st.integers(0, 2), ROWS, min_size=1, max_size=3)
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)
PICKS = st.lists(st.integers(0, 5), max_size=8)


def _check(flow: Flow, partitions: dict[int, Sequence[Row]], **options: object) -> None:
    counts, kept = reference.account(partitions, WINDOWS, **options)  # type: ignore[arg-type]
    for name, count in counts.items():
        assert getattr(flow.tally, name) == count, name
    assert flow.tally.balanced
    expected, got = reference.windows(kept, METRICS), flow.rows()
    assert got.keys() == expected.keys()
    for key, row in expected.items():
        asked = next(w for w in WINDOWS if w.name == key[0]).agents
        for name, value in row.items():
            if name == "agents" and not asked:
                assert got[key][name] == -1
            elif name.endswith(("_mean", "_var")) and not math.isnan(value):
                assert got[key][name] == pytest.approx(value, rel=1e-14, abs=0)
            else:
                assert got[key][name] == value or (math.isnan(value) and math.isnan(got[key][name])), (
                    key,
                    name,
                )


@given(PARTITIONS, SIZES, PICKS, st.integers(1, 5), st.tuples(st.booleans(), st.sampled_from([None, 30])))
@settings(max_examples=150)
def test_equals_the_reference(
    partitions: dict[int, list[Row]],
    sizes: list[int],
    picks: list[int],
    shards: int,
    checks: tuple[bool, int | None],
) -> None:
    """Any partitions, framing, interleaving and shard count give the rows of the reference."""
    dedup, jump = checks
    flow = Flow(GRID, METRICS, WINDOWS, partitions=3, shards=shards, dedup=dedup, max_jump_us=jump)
    for partition, batch in interleave({p: split(r, sizes) for p, r in partitions.items()}, picks):
        flow.feed(partition, batch)
    flow.finish(range(3))
    _check(flow, partitions, dedup=dedup, max_jump_us=jump)
    assert all((c.revision == 0).all() for c in flow.closed), "without idle partitions nothing is amended"


# Partition 0 closes windows while the others are idle; then partition 1 has an event for one of them.
_AMENDED = {0: [_row(1, 0), _row(1, 90)], 1: [_row(2, 1)]}


@given(PARTITIONS, SIZES, PICKS, st.lists(st.integers(0, 2), max_size=6))
@example(_AMENDED, [1], [0], [1, 2])
@settings(max_examples=100)
def test_idle_partitions_amend(
    partitions: dict[int, list[Row]], sizes: list[int], picks: list[int], pauses: list[int]
) -> None:
    """Partitions that were idle and come back amend what was closed without them: the last revision is the same."""
    flow = Flow(GRID, METRICS, WINDOWS, partitions=3)
    order = interleave({p: split(r, sizes) for p, r in partitions.items()}, picks)
    for turn, (partition, batch) in enumerate(order):
        for paused in pauses[turn : turn + 1]:
            flow.pause(paused)
        flow.feed(partition, batch)
    flow.finish(range(3))
    _check(flow, partitions)


@given(PARTITIONS, SIZES, PICKS, st.integers(0, 10))
@settings(max_examples=50)
def test_restart_changes_nothing(
    partitions: dict[int, list[Row]], sizes: list[int], picks: list[int], every: int
) -> None:
    """Going on from snapshots after any batch gives the same results."""
    flow = Flow(GRID, METRICS, WINDOWS, partitions=3, dedup=True)
    for turn, (partition, batch) in enumerate(
        interleave({p: split(r, sizes) for p, r in partitions.items()}, picks)
    ):
        flow.feed(partition, batch)
        if every and turn % every == 0:
            flow.restart()
    flow.finish(range(3))
    _check(flow, partitions, dedup=True)


def test_past_the_horizon_is_late() -> None:
    """What an idle partition brings for windows that are final is late, and the account still balances."""
    flow = Flow(GRID, METRICS, WINDOWS, partitions=2, horizon_us=50)
    old, new = (Row(1, t, 0, (0, 0, 0), (1.0, None)) for t in (5, 1000))
    flow.feed(0, [old])
    flow.pause(1)
    flow.feed(0, [new])
    before = len(flow.closed)
    flow.feed(1, [old])
    assert (flow.tally.windowed, flow.tally.late) == (2, 1)
    assert flow.tally.balanced
    assert len(flow.closed) == before
