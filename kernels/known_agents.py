"""The agents that a partition knows, up to a limit: who comes when it is reached is refused.

The rule, event by event: an agent that is not known becomes known if fewer than `most` are, else its event is
refused. So the answer follows from the order of the events alone, and not from how they come in batches.

Nearly all events are of agents that are known, and most of those are found in a front of one place an agent, which
costs a fifth of looking into the table behind it.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.agent_table import AgentTable

__all__ = ["KnownAgents"]

_NOTHING = np.zeros((), [("nothing", "u1")])  # that the agent is there is all there is to know
_SMALLEST_BITS = 12
_PLACES = 4  # of the front, an agent: one in ten is not found there
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: neighbours land far from each other


class KnownAgents:
    """A set of agents that grows up to a limit.

    Parameters
    ----------
    most
        How many it takes.
    ids
        What `ids` returned, or None at the start.

    Examples
    --------
    >>> known = KnownAgents(2)
    >>> known.refuse(np.array([5, 6, 5, 7, 6], np.uint64)).tolist()
    [False, False, False, True, False]
    >>> len(known)
    2
    """

    def __init__(self, most: int, ids: NDArray[np.uint64] | None = None) -> None:
        self._most, self._table = most, AgentTable(_NOTHING)
        self._ids: NDArray[np.uint64] | None = None
        if ids is not None:
            self._table.add(ids)
        self._make_front()

    def __len__(self) -> int:
        return len(self._table)

    def refuse(self, agent_id: NDArray[np.uint64]) -> NDArray[np.bool_] | None:
        """Take in the agents of N events; return the (N,) mask of those that are refused, None if none is."""
        found = self._front.take(self._places(agent_id)) == agent_id
        if found.all():
            return None
        rows = np.flatnonzero(~found)
        rows = rows[~self._table.has(agent_id[rows])]
        if not len(rows):
            return None
        if len(self) + len(rows) <= self._most:  # room for all: who came first does not matter
            self._take_in(np.unique(agent_id[rows]))
            return None
        agents, first = np.unique(agent_id[rows], return_index=True)
        admitted = agents[np.argsort(first)[: max(self._most - len(self), 0)]]
        self._take_in(admitted)
        if len(admitted) == len(agents):
            return None
        refused = np.zeros(len(agent_id), np.bool_)
        refused[rows[~np.isin(agent_id[rows], admitted)]] = True
        return refused

    def ids(self) -> NDArray[np.uint64]:
        """Return the agents in ascending order; the same array as long as none is added."""
        if self._ids is None:
            self._ids = self._table.sorted()[0]
        return self._ids

    def _take_in(self, agents: NDArray[np.uint64]) -> None:
        if not len(agents):
            return
        self._table.add(agents)
        self._ids = None
        if len(self) * _PLACES > len(self._front):
            self._make_front()
        else:
            self._front[self._places(agents)] = agents

    def _make_front(self) -> None:
        bits = max(_SMALLEST_BITS, (len(self) * _PLACES * 2 - 1).bit_length())
        self._shift = np.uint64(64 - bits)
        self._front = np.zeros(2**bits, np.uint64)
        self._front[0] = 1  # 0 belongs here and must not be found before it comes; 1 belongs elsewhere
        agents = self._table.held()
        self._front[self._places(agents)] = agents

    def _places(self, agents: NDArray[np.uint64]) -> NDArray[np.int64]:
        return ((agents * _SPREAD) >> self._shift).view(np.int64)
