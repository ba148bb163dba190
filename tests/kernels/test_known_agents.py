"""The agents that are known up to a limit, against a plain loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.known_agents import KnownAgents


def by_loop(agents: list[int], most: int) -> list[bool]:
    """Whether each event is refused, one after the other."""
    known: set[int] = set()
    refused = []
    for agent in agents:
        if agent not in known and len(known) < most:
            known.add(agent)
        refused.append(agent not in known)
    return refused


@given(
    agents=st.lists(st.integers(0, 30) | st.integers(0, 2**64 - 1), max_size=200),
    most=st.integers(0, 40),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=8),
    restarts=st.booleans(),
)
def test_equal_to_a_loop(agents: list[int], most: int, cuts: list[int], restarts: bool) -> None:
    """However the events are cut into batches, and with a restart between any two of them."""
    known, found, first, turn = KnownAgents(most), [], 0, 0
    while first < len(agents):
        batch = np.array(agents[first : first + cuts[turn % len(cuts)]], np.uint64)
        mask = known.refuse(batch)
        found += [False] * len(batch) if mask is None else mask.tolist()
        first, turn = first + len(batch), turn + 1
        if restarts:
            known = KnownAgents(most, known.ids())
    assert found == by_loop(agents, most)
    assert len(known) == min(most, len(set(agents)))


def test_many_agents_are_all_known_once_they_have_come() -> None:
    """Also those that share a place of the front, through its growth; none is known before."""
    rng = np.random.default_rng(3)
    agents = rng.integers(0, 2**64, 100_000, dtype=np.uint64)
    known = KnownAgents(len(agents))
    for batch in np.array_split(agents, 37):
        assert known.refuse(batch) is None
    assert len(known) == len(np.unique(agents))
    assert known.refuse(rng.permutation(agents)) is None
    full = KnownAgents(len(known), known.ids())
    assert full.refuse(agents) is None
    others = rng.integers(0, 2**64, 1000, dtype=np.uint64)
    refused = full.refuse(others)
    assert refused is not None
    assert refused.all()


def test_a_smaller_limit_takes_nobody_back() -> None:
    """Who is known stays known where the limit has been lowered; nobody is added."""
    known = KnownAgents(1, np.array([5, 6, 7], np.uint64))
    assert known.refuse(np.array([5, 6, 7], np.uint64)) is None
    refused = known.refuse(np.array([5, 8], np.uint64))
    assert refused is not None
    assert refused.tolist() == [False, True]
