"""Sessions of a batch of events, and their fragments joined: as one event at a time would have it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import sessions
from kernels.fragments import Fragments, join
from kernels.hashing import mix64
from kernels.sessions import SessionWindow, by_agent, chains, shard_bounds

GAP = 7
EVENTS = st.lists(st.tuples(st.integers(0, 4) | st.integers(0, 2**64 - 1), st.integers(-60, 60)), max_size=60)


def _columns(events: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([a for a, _ in events], np.uint64), np.array([t for _, t in events], np.int64)


def _slow(events: list[tuple[int, int]]) -> dict[tuple[int, int, int], int]:
    """Number of events by (agent, first, last)."""
    found: dict[tuple[int, int, int], int] = {}
    for agent in {a for a, _ in events}:
        times = sorted(t for a, t in events if a == agent)
        first = last = times[0]
        count = 0
        for time in times:
            if time - last >= GAP:
                found[agent, first, last] = count
                first, count = time, 0
            last, count = time, count + 1
        found[agent, first, last] = count
    return found


def _fragments(events: list[tuple[int, int]]) -> Fragments:
    """Fragments with one sum, the number of events, and the extrema of their times."""
    agent_id, time_us = _columns(events)
    if not events:
        return Fragments.empty(1, 2)
    cut = chains(by_agent(agent_id, time_us), time_us, GAP)
    count = np.bincount(cut.fragment)[None, :]
    extrema = np.array([cut.start_us, cut.last_us], np.float32)
    revision = np.zeros(len(cut.first), np.int32)
    return Fragments(agent_id[cut.first], cut.start_us, cut.last_us, revision, count, extrema)


def _fast(found: Fragments) -> dict[tuple[int, int, int], int]:
    keys = zip(found.agent_id.tolist(), found.start_us.tolist(), found.last_us.tolist(), strict=True)
    return dict(zip(keys, found.ints[0].tolist(), strict=True))


@given(EVENTS)
@settings(max_examples=200)
def test_chains_are_the_sessions_of_a_batch(events: list[tuple[int, int]]) -> None:
    """Events of any order are cut into the sessions of the slow version, in the order of (hash, start)."""
    found = _fragments(events)
    assert _fast(found) == (_slow(events) if events else {})
    keys = list(zip(mix64(found.agent_id).tolist(), found.start_us.tolist(), strict=True))
    assert keys == sorted(keys)


@given(EVENTS, st.lists(st.integers(0, 60), max_size=5), st.randoms())
@settings(max_examples=200)
def test_joining_forgets_how_events_were_cut(
    events: list[tuple[int, int]], at: list[int], random: object
) -> None:
    """The fragments of any parts, joined in any order and in two steps, are the sessions of all the events."""
    cuts = sorted(min(a, len(events)) for a in at)
    parts = [_fragments(events[a:b]) for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    random.shuffle(parts)  # type: ignore[attr-defined]
    half = len(parts) // 2
    first = [join(parts[:half], GAP)[0]] if half else []
    joined, withdrawn = join([*first, *parts[half:]], GAP)
    assert _fast(joined) == (_slow(events) if events else {})
    assert (joined.floats == np.array([joined.start_us, joined.last_us])).all()
    assert withdrawn.size == 0


def test_a_long_fragment_reaches_past_a_short_one() -> None:
    """What follows a fragment that lies inside another is measured from the end of the outer one."""
    parts = [
        _fragments([(1, t) for t in range(0, 50, 5)]),
        _fragments([(1, 12), (1, 51)]),
        _fragments([(2, 51)]),
    ]
    assert _fast(join(parts, GAP)[0]) == {(1, 0, 51): 12, (2, 51, 51): 1}


def test_closer_than_the_gap() -> None:
    """Events at the distance of the gap are of two sessions, within a batch and across batches."""
    events = [(1, 0), (1, GAP), (1, 2 * GAP - 1)]
    expected = {(1, 0, 0): 1, (1, GAP, 2 * GAP - 1): 2}
    assert _fast(_fragments(events)) == expected
    assert _fast(join([_fragments([e]) for e in events], GAP)[0]) == expected


def test_what_was_published_and_joined_is_withdrawn() -> None:
    """Of published fragments those that grew are withdrawn as they were, and the others are left alone."""
    old = _fragments([(1, 0), (1, 10), (1, 30), (2, 0)])
    old = old._replace(revision=np.where(old.start_us == 10, 3, 1).astype(np.int32))
    joined, withdrawn = join([old, _fragments([(1, 5)])], GAP)
    assert _fast(withdrawn) == {(1, 0, 0): 1, (1, 10, 10): 1}
    assert dict(zip(withdrawn.start_us.tolist(), withdrawn.revision.tolist(), strict=True)) == {0: 1, 10: 3}
    assert _fast(joined) == {(1, 0, 10): 3, (1, 30, 30): 1, (2, 0, 0): 1}
    revisions = dict(
        zip(joined.start_us[joined.agent_id == 1].tolist(), joined.revision.tolist(), strict=False)
    )
    assert joined.revision[joined.last_us == 10].tolist() == [4]
    assert sorted(joined.revision.tolist()) == [1, 1, 4], revisions


def test_agents_that_share_the_top_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two agents whose hashes differ in the low bits alone are kept apart."""
    monkeypatch.setattr(sessions, "mix64", lambda values: values)
    agent_id = np.array([9, 8, 9, 8], np.uint64)
    order = by_agent(agent_id, np.arange(4))
    assert order.rows.tolist() == [1, 3, 0, 2]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(1, 9))
def test_shards_divide_the_hashes(values: list[int], shards: int) -> None:
    """Shard k holds the hashes from k / S of their range on."""
    hashes = np.sort(np.array(values, np.uint64))
    bounds = shard_bounds(hashes, shards)
    of = [k for k in range(shards) for _ in range(bounds[k + 1] - bounds[k])]
    assert of == [(h >> 32) * shards >> 32 for h in hashes.tolist()]


def test_ticks() -> None:
    """A watermark is looked at eight times while a session waits, and never less than each microsecond."""
    assert SessionWindow("w", gap_us=60, lateness_us=20).tick_us == 10
    assert SessionWindow("w", gap_us=1, lateness_us=0).tick_us == 1
