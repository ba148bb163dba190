"""Duplicates within the lateness, by sorting and by hashing, against a set."""

from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.dedup import Recent, find_duplicates
from kernels.seen import Seen

EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 2)), max_size=30)


def batches(events: list[tuple[int, int, int]], size: int) -> list[Recent]:
    """The identities in batches."""
    cut = [list(zip(*events[first : first + size], strict=True)) for first in range(0, len(events), size)]
    return [
        Recent(np.array(agents, np.uint64), np.array(times, np.int64), np.array(seqs, np.uint32))
        for agents, times, seqs in cut
    ]


@given(EVENTS, st.integers(1, 9))
def test_duplicates_are_repeated_identities(events: list[tuple[int, int, int]], size: int) -> None:
    """In any framing, an event is a duplicate if and only if its identity came before."""
    recent, found = Recent.empty(), []
    for batch in batches(events, size):
        repeated, recent = find_duplicates(recent, batch, oldest_us=0)
        found += repeated.tolist()
    assert found == [event in events[:i] for i, event in enumerate(events)]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)), max_size=80),
    st.integers(1, 30),
    st.sampled_from([1, 2, 3, 64]),
    st.integers(1, 4),
    st.lists(st.booleans(), max_size=8),
)
def test_hashing_finds_them_too(
    events: list[tuple[int, int, int]], size: int, hashes: int, steps: int, restarts: list[bool]
) -> None:
    """However few hashes and steps there are, through growing and restarts, it is by identity that rows are repeated."""

    def few(events: Recent) -> np.ndarray:
        return (events.agent_id * np.uint64(10) + events.time_us.view(np.uint64)) % np.uint64(
            hashes
        ) << np.uint64(40)

    found = []
    with patch.multiple("kernels.seen", _hash=few, _STEPS=steps, _LEAST_ROOM=8):
        seen = Seen()
        for number, batch in enumerate(batches(events, size)):
            found += seen.repeated(batch, oldest_us=-1).tolist()
            if any(restarts[number : number + 1]):
                seen = Seen(seen.recent(-1))
    assert found == [event in events[:i] for i, event in enumerate(events)]


@given(EVENTS, st.integers(1, 9))
def test_the_hash_itself_finds_them(events: list[tuple[int, int, int]], size: int) -> None:
    """Without a hand in it."""
    seen = Seen()
    found = [mark for batch in batches(events, size) for mark in seen.repeated(batch, oldest_us=0)]
    assert found == [event in events[:i] for i, event in enumerate(events)]


def test_a_table_that_is_full_forgets_what_is_too_old() -> None:
    """So it does not grow while the lateness is the same."""
    with patch("kernels.seen._LEAST_ROOM", 8):
        seen = Seen()
        for time_us in range(1000):
            batch = Recent(np.arange(4, dtype=np.uint64), np.full(4, time_us), np.zeros(4, np.uint32))
            assert not seen.repeated(batch, oldest_us=time_us - 2).any()
            assert len(seen.recent(time_us - 2).time_us) == 4 * min(time_us + 1, 3)
        assert len(seen._table) <= 128


def test_what_is_too_old_is_forgotten() -> None:
    """Identities before `oldest_us` take no memory."""
    batch = Recent(np.array([1, 1], np.uint64), np.array([5, 9]), np.array([0, 0], np.uint32))
    assert find_duplicates(Recent.empty(), batch, oldest_us=9)[1].time_us.tolist() == [9]
