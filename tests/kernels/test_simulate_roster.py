"""The ring of agents behaves as a queue."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.simulate_events import Members
from kernels.simulate_roster import Roster


def _members(ids: range) -> Members:
    flat = np.array(ids)
    deep = np.broadcast_to(flat, (3, len(flat))).astype(np.float32)
    words = flat.astype(np.uint32)
    return Members(flat.astype(np.uint64), words, words, words, flat.astype(np.uint8), deep, deep, deep)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20),
    st.integers(1, 5),
)
def test_a_roster_is_a_queue(turns: list[tuple[int, int]], longest: int) -> None:
    """Whatever leaves and enters, the rows are those of a plain list, in every column, in runs of at most `longest`."""
    roster, last = Roster(12), 0
    expected: list[int] = []
    for leaving, entering in turns:
        gone = min(leaving, len(expected))
        new = range(last, last + min(entering, 12 - len(expected) + gone))
        roster.turn(gone, _members(new))
        expected, last = expected[gone:] + list(new), new.stop
        runs = list(roster.runs(0, len(roster), longest=longest))
        assert all(len(run.agent_id) <= longest for run in runs)
        assert [i for run in runs for i in run.agent_id.tolist()] == expected
        assert [i for run in runs for i in run.bend_m[2].tolist()] == expected


def test_a_full_roster_refuses() -> None:
    """More agents than the capacity are an error, not a silent loss."""
    with pytest.raises(OverflowError, match="3 agents in a roster of 2"):
        Roster(2).turn(0, _members(range(3)))
