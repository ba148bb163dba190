import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from limbs import normalise
from numpy.typing import NDArray

from kernels.aggregate import MAX_BATCH_EVENTS, Layout, merge, reduce
from kernels.metric import MAX_STEPS, Metric

Floats = NDArray[np.float32]
Blocks = tuple[NDArray[np.int64], Floats]

SPEED = Metric("speed_mps", 0.01, -300.0, 300.0)
WIDE = Metric("wide", 1.0, 1.0 - MAX_STEPS, MAX_STEPS - 1.0)
LAYOUT = Layout((SPEED, WIDE), square=(True, False), extrema=(False, True))
ALL = Layout((WIDE,), (True,), (True,))
GROUPS = 5

EVENTS = st.lists(
    st.tuples(
        st.integers(0, GROUPS - 1),
        st.floats(-300, 300, width=32) | st.just(math.nan),
        st.floats(-8388607, 8388607, width=32) | st.sampled_from([math.nan, -0.0, 0.0, 8388607.0]),
    )
)
Events = list[tuple[int, float, float]]


def blocks_of(events: Events, layout: Layout = LAYOUT) -> Blocks:
    """The aggregates of a batch."""
    index = np.array([group for group, *_ in events], np.int32)
    values = [np.array([event[1 + m] for event in events], np.float32) for m in range(len(layout.metrics))]
    return reduce(index, GROUPS, values, layout)


def slow_blocks(
    events: Sequence[tuple[int, *tuple[float, ...]]], layout: Layout = LAYOUT, groups: int = GROUPS
) -> Blocks:
    """The same, an event at a time, with Python's integers."""
    ints, floats = layout.empty(groups)
    for group, *values in events:
        ints[0, group] += 1
        for m, (metric, value) in enumerate(zip(layout.metrics, values, strict=True)):
            if math.isnan(value):
                continue
            steps = round(Fraction(value) * Fraction(metric.scale))
            ints[layout.n(m), group] += 1
            ints[layout.sum(m), group] += steps
            if layout.square[m]:
                whole = (int(ints[layout.hi(m), group]) << 32) + int(ints[layout.lo(m), group]) + steps**2
                ints[layout.hi(m), group], ints[layout.lo(m), group] = divmod(whole, 2**32)
            if layout.extrema[m]:
                floats[layout.min(m), group] = min(floats[layout.min(m), group], value + 0.0)
                floats[layout.max(m), group] = max(floats[layout.max(m), group], value + 0.0)
    return ints, floats


def assert_same(found: Blocks, expected: Blocks) -> None:
    """The blocks are the same to the bit."""
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes(), (one, other)


@given(EVENTS)
@example([(0, math.nan, math.nan)])
@example([(4, -0.0, -0.0), (4, 0.0, 0.0)])
def test_reduce_equals_a_loop(events: Events) -> None:
    """Every statistic equals that of a loop over the events, nulls left out."""
    assert_same(blocks_of(events), slow_blocks(events))


@given(EVENTS, st.randoms())
def test_order_does_not_matter(events: Events, random: "np.random.Generator") -> None:
    """A shuffled batch gives the same bits."""
    shuffled = sorted(events, key=lambda _: random.random())
    assert_same(blocks_of(shuffled), blocks_of(events))


@given(EVENTS, st.integers(0, 30))
def test_merging_parts_gives_the_whole(events: Events, cut: int) -> None:
    """Merging the aggregates of two parts of a batch gives those of the whole."""
    ints, floats = blocks_of(events[:cut])
    merge(ints, floats, slice(None), *blocks_of(events[cut:]))
    normalise(ints, LAYOUT)
    assert_same((ints, floats), blocks_of(events))


def test_merge_goes_to_the_rows_given() -> None:
    """Groups that are merged into rows of a larger block go there and nowhere else, by index as by slice."""
    part = blocks_of([(0, 1.0, 5.0), (2, 2.0, -7.0)])
    for rows in (np.array([9, 3, 4, 5, 1]), slice(2, 7)):
        ints, floats = LAYOUT.empty(10)
        merge(ints, floats, rows, *part)
        merge(ints, floats, rows, *part)
        assert np.array_equal(ints[:, rows], part[0] * 2)
        assert np.array_equal(floats[:, rows], part[1])
        assert ints[0].sum() == 4


@pytest.mark.parametrize("extreme", [MAX_STEPS - 1.0, 1.0 - MAX_STEPS])
def test_the_largest_batch_does_not_wrap(extreme: float) -> None:
    """A full batch of extreme values in one group has the exact count, sum and sum of squares."""
    values = np.full(MAX_BATCH_EVENTS, extreme, np.float32)
    ints, _ = reduce(np.zeros(MAX_BATCH_EVENTS, np.int32), 1, [values], ALL)
    squares = (int(ints[ALL.hi(0), 0]) << 32) + int(ints[ALL.lo(0), 0])
    assert ints[: ALL.lo(0), 0].tolist() == [MAX_BATCH_EVENTS, MAX_BATCH_EVENTS, MAX_BATCH_EVENTS * extreme]
    assert squares == MAX_BATCH_EVENTS * int(extreme) ** 2


def test_a_batch_of_many_chunks_equals_a_loop() -> None:
    """A batch longer than a chunk, with nulls in one metric only, equals a loop."""
    rng = np.random.default_rng(3)
    speed = np.where(rng.random(40_000) < 0.1, np.nan, rng.uniform(-300, 300, 40_000)).astype("f4")
    wide = rng.integers(1 - MAX_STEPS, MAX_STEPS, 40_000).astype("f4")
    events = list(zip(rng.integers(0, GROUPS, 40_000).tolist(), speed.tolist(), wide.tolist(), strict=True))
    assert_same(blocks_of(events), slow_blocks(events))


def test_views_at_odd_offsets_are_read_rightly() -> None:
    """Columns that are not aligned, not contiguous or read-only, as frames give them, count the same."""
    data = b"x" + np.arange(8, dtype="<f4").tobytes()
    odd = np.frombuffer(data, "<f4", offset=1)
    assert not odd.flags.aligned
    index = np.zeros(8, np.int64)
    for column in (odd, odd.repeat(2)[::2]):
        assert_same(reduce(index, 1, [column], ALL), reduce(index, 1, [odd.copy()], ALL))


def test_any_nan_is_no_value() -> None:
    """A NaN with any bits, signaling ones as well, is left out without a warning, in batches of any length."""
    for events in (1, 3, 40, 20_000):
        odd = np.full(events, 0x7FA00001, "u4").view("f4")
        assert_same(
            reduce(np.zeros(events, np.int32), 1, [odd], ALL), slow_blocks([(0, math.nan)] * events, ALL, 1)
        )


def test_more_than_a_batch_is_refused() -> None:
    """A batch for which the proof against overflow does not hold is refused."""
    with pytest.raises(ValueError, match="at most 131072"):
        reduce(np.zeros(MAX_BATCH_EVENTS + 1, np.int32), 1, [], Layout((), (), ()))


@pytest.mark.parametrize("index", [-1, 2])
def test_a_group_that_is_not_there_is_refused(index: int) -> None:
    """A group outside [0, size) is an error; a negative one does not count from the end."""
    with pytest.raises(IndexError):
        reduce(np.array([index]), 2, [np.ones(1, "f4")], ALL)


def test_every_metric_needs_its_column() -> None:
    """One column too few is an error."""
    with pytest.raises(ValueError, match="expected 2 columns"):
        reduce(np.zeros(1, np.int32), 1, [np.ones(1, "f4")], LAYOUT)


def test_flags_are_given_for_each_metric() -> None:
    """A layout whose flags do not match its metrics is refused."""
    with pytest.raises(ValueError, match="a flag a metric"):
        Layout((SPEED,), (), (True,))


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_rows_of_a_layout_do_not_overlap(flags: list[tuple[bool, bool]]) -> None:
    """Each statistic has a row of its own, and together they fill the blocks; even float rows are minima."""
    layout = Layout((SPEED,) * len(flags), tuple(f for f, _ in flags), tuple(f for _, f in flags))
    found = defaultdict(list, ints=[0])
    for m, (square, extrema) in enumerate(flags):
        found["ints"] += [layout.n(m), layout.sum(m)] + [layout.lo(m), layout.hi(m)] * square
        found["floats"] += [layout.min(m), layout.max(m)] * extrema
    assert found["ints"] == list(range(layout.int_rows))
    assert found["floats"] == list(range(layout.float_rows))
    assert layout.empty(1)[1][:, 0].tolist() == [math.inf, -math.inf] * (layout.float_rows // 2)
