import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.causes import NEVER_US, Identities, gaps_us

REACH_US, WAIT_US = 20, 10
Event = tuple[int, int, int]
EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(0, 60)), max_size=30)


def identities(events: list[Event]) -> Identities:
    """Events as arrays."""
    agent, seq, time_us = zip(*events, strict=True) if events else ((), (), ())
    return Identities(np.array(agent, np.uint64), np.array(seq, np.uint32), np.array(time_us, np.int64))


def slow(causes: list[Event], effect: Event) -> int:
    """The answer to one question, from all events."""
    gaps = [at - effect[2] for agent, seq, at in causes if (agent, seq) == effect[:2]]
    if any(-REACH_US <= gap <= 0 for gap in gaps):
        return 0
    return min((gap for gap in gaps if 0 < gap <= WAIT_US), default=int(NEVER_US))


@given(EVENTS, EVENTS)
def test_every_question_is_answered_from_all_events(causes: list[Event], effects: list[Event]) -> None:
    """In whatever order they come."""
    found = gaps_us(identities(causes), identities(effects), reach_us=REACH_US, wait_us=WAIT_US)
    assert found.tolist() == [slow(causes, effect) for effect in effects]
