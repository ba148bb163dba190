"""How far partitions have come: what closes, what is final, and what a key is told."""

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.lateness import START_US
from operators.batch import Batch, Origin
from operators.watermarks import Told, Watermarks, tell

HORIZON_US = 30
MARKS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 100), st.booleans()), max_size=30
)  # partition, how far it moves, whether it is idle then


@given(MARKS, st.integers(0, 30))
def test_closed_never_falls_and_final_is_behind_it(marks: list[tuple[int, int, bool]], cut: int) -> None:
    """As an obvious loop has it, and the same when it goes on from a snapshot."""
    found, at, idle, closed = Watermarks(3, HORIZON_US), [START_US] * 3, [False] * 3, START_US
    for number, (partition, step, is_idle) in enumerate(marks):
        if number == cut:
            found = Watermarks(3, HORIZON_US, found.snapshot())
        at[partition] = max(at[partition], 0) + step
        idle[partition] = is_idle
        awake = [a for a, i in zip(at, idle, strict=True) if not i]
        before, closed = (
            closed,
            max(closed, *awake) if len(awake) == 1 else max(closed, min(awake or [START_US])),
        )
        assert found.put(partition, at[partition], idle=is_idle) == (closed > before)
        assert found.closed_us == closed
        assert found.final_us == max(min(at), closed - HORIZON_US)


def _batch(before_us: int, after_us: int, *, idle: bool = False, resumed: bool = False) -> Batch:
    return Batch({}, Origin.nowhere("t", 1), before_us, after_us, idle=idle, resumed=resumed)


def test_a_key_without_rows_is_told_of_the_ends_of_ticks_alone() -> None:
    """Rows go to their key; a watermark that passes a tick's end plus the lateness, idleness and return go to all."""
    rows = [{}, {"x": np.array([1])}, {}]
    of = {"tick_us": 10, "lateness_us": 3}
    assert [key for key, _ in tell(_batch(13, 22), rows, **of)] == ["1"]
    for batch in (_batch(13, 23), _batch(13, 13, idle=True), _batch(13, 14, resumed=True)):
        assert [key for key, _ in tell(batch, rows, **of)] == ["0", "1", "2"]


def test_a_message_survives_the_way_to_another_process() -> None:
    """The same columns with the same types and bits."""
    told = Told(3, 1, -5, True, {"x": np.array([1.5, np.nan], "f4"), "n": np.array([2**64 - 1], "u8")})
    back = pickle.loads(pickle.dumps(told))
    assert back[:-1] == told[:-1]
    assert {n: (v.dtype, v.tobytes()) for n, v in back.columns.items()} == {
        n: (v.dtype, v.tobytes()) for n, v in told.columns.items()
    }
