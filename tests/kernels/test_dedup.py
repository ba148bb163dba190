"""Duplicates within the lateness, against a set."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.dedup import Recent, find_duplicates

EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 2)), max_size=30)


@given(EVENTS, st.integers(1, 9))
def test_duplicates_are_repeated_identities(events: list[tuple[int, int, int]], size: int) -> None:
    """In any framing, an event is a duplicate if and only if its identity came before."""
    recent, found = Recent.empty(), []
    for first in range(0, len(events), size):
        agents, times, seqs = zip(*events[first : first + size], strict=True)
        batch = Recent(np.array(agents, np.uint64), np.array(times, np.int64), np.array(seqs, np.uint32))
        repeated, recent = find_duplicates(recent, batch, oldest_us=0)
        found += repeated.tolist()
    assert found == [event in events[:i] for i, event in enumerate(events)]


def test_what_is_too_old_is_forgotten() -> None:
    """Identities before `oldest_us` take no memory."""
    batch = Recent(np.array([1, 1], np.uint64), np.array([5, 9]), np.array([0, 0], np.uint32))
    assert find_duplicates(Recent.empty(), batch, oldest_us=9)[1].time_us.tolist() == [9]
