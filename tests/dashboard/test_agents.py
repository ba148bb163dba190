"""The latest state of agents, against a dictionary."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from views import events

from dashboard.agents import Agents, History

BATCHES = st.lists(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50), st.integers(0, 9)), max_size=20), max_size=8
)


@given(BATCHES)
def test_latest_state(batches: list[list[tuple[int, int, int]]]) -> None:
    """Of each agent the last event that is not older than what is known counts, however they are batched."""
    agents, known = Agents(10**9), dict[int, tuple[int, float]]()
    for unsorted in batches:
        batch = sorted(unsorted, key=lambda event: event[1])
        before = dict(known)
        for agent, time_us, x in batch:
            if agent not in before or time_us >= before[agent][0]:
                known[agent] = time_us, float(x)
        agents.take(events(*map(list, zip(*batch, strict=True))) if batch else events([], [], []))
    alive = agents.alive()
    found = zip(alive["agent_id"].tolist(), alive["time_us"].tolist(), alive["x_m"].tolist(), strict=True)
    assert {agent: (time_us, x) for agent, time_us, x in found} == known


def test_only_changes_are_drained() -> None:
    """An agent is told of once for all its events since."""
    agents = Agents(10**9)
    agents.take(events([1, 2], [1, 1], [0, 0]))
    assert agents.drain()["agent_id"].tolist() == [1, 2]
    agents.take(events([2, 2], [2, 3], [5, 6]))
    assert agents.drain()["x_m"].tolist() == [6]
    assert len(agents.drain()["agent_id"]) == 0


def test_silent_agents_go() -> None:
    """An agent that is silent is gone, and when many are the rest is numbered anew."""
    agents = Agents(10)
    many = range(1, 5_001)
    agents.take(events(many, [0] * 5_000, [0] * 5_000))
    agents.take(events([7, 9_999], [100, 100], [1, 2]))
    assert sorted(agents.alive()["agent_id"].tolist()) == [7, 9_999]
    agents.compact()
    assert len(agents) == 2
    assert agents.generation == 1
    agents.take(events([3], [101], [3]))
    assert sorted(agents.alive()["agent_id"].tolist()) == [3, 7, 9_999]


def test_history_is_bounded() -> None:
    """An agent's samples come back in order, at most one a step; the oldest go when there are too many bytes."""
    history, agents = History(20_000, step_us=1_000_000), Agents(10**9)
    for second in range(200):
        for part in (0, 400_000):
            agents.take(events([1, 2], [second * 1_000_000 + part] * 2, [second, -second]))
            history.take(agents.state(), agents.now_us)
    x_m = history.of(2)["x_m"]
    assert x_m[-1] == -199
    assert (np.diff(x_m) == -1).all()
    assert 100 < len(x_m) < 200
    assert len(history.of(3)["x_m"]) == 0
