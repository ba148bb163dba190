"""A hash table from agents to rows of state, looked up and filled a whole batch at a time.

Open addressing with linear probing in plain arrays: a probe is one gather over all rows that are still unresolved, so
there is no Python loop over events. Which cell an agent gets depends on the history of the table; nothing that is
read out of the table does.

State is kept as rows, not as columns: with 1,000,000 agents each access misses the cache, so one row of 32 bytes costs
6 ns to read and 33 ns to write, eight columns of 4 bytes 14 and 142 ns.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import mix64

__all__ = ["AgentTable"]

_SMALLEST = 1024
# Chains of probes stay short while at most 5 of 8 cells are taken; a table that grew has 2 to 4 cells an agent.
_FULL = 5 / 8
_ROOMY = 2


class AgentTable:
    """State of agents by id, as one array of rows addressed by slot.

    Parameters
    ----------
    blank
        The row that an agent starts with: an array of shape () with a structured dtype without padding.

    Examples
    --------
    >>> table = AgentTable(np.array((0.0,), dtype=[("x_m", "<f4")]))
    >>> slots = table.slots(np.array([7, 9, 7], dtype=np.uint64))
    >>> table.write(slots[:2], np.array([(1.0,), (2.0,)], dtype=[("x_m", "<f4")]))
    >>> table.read(table.slots(np.array([9, 8], dtype=np.uint64)))["x_m"]
    array([2., 0.], dtype=float32)
    """

    def __init__(self, blank: NDArray[Any]) -> None:
        self._blank = blank
        self._allocate(_SMALLEST)

    def __len__(self) -> int:
        """Return how many agents the table holds."""
        return self._count

    @property
    def capacity(self) -> int:
        """How many cells are allocated."""
        return len(self._ids)

    def has(self, agents: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return the (N,) mask of the agents that the table holds."""
        return self._find(agents)[1]

    def add(self, agents: NDArray[np.uint64]) -> None:
        """Take in (K,) agents, each once, none of which the table holds."""
        if self._count + len(agents) > self.capacity * _FULL:
            self._rebuild(None, room=len(agents))
        self._insert(agents)

    def held(self) -> NDArray[np.uint64]:
        """Return all ids, in no order."""
        return self._ids[self._taken]

    def slots(
        self, agents: NDArray[np.uint64], *, live: Callable[[NDArray[Any]], NDArray[np.bool_]] | None = None
    ) -> NDArray[np.int64]:
        """Find the slot of each agent, taking in those that are new.

        Parameters
        ----------
        agents
            Ids, shape (N,), in any order, repeated or not.
        live
            Asked when the table is full, before it grows: from rows of state, shape (C,), which of them to keep.

        Returns
        -------
        NDArray[np.int64]
            Shape (N,), good for `read` and `write` until the next call.
        """
        slots, known = self._find(agents)
        if known.all():
            return slots
        new = np.unique(agents[~known])
        if self._count + len(new) > self.capacity * _FULL:
            self._rebuild(live, room=len(np.unique(agents)))
            new = np.unique(agents[~self._find(agents)[1]])
        self._insert(new)
        return self._find(agents)[0]

    def read(self, slots: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows in (N,) slots."""
        return self._rows.take(slots)

    def write(self, slots: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Set the rows in (N,) slots, each slot once."""
        whole = np.dtype((np.void, rows.itemsize))  # as raw bytes: field by field takes four times as long
        self._rows.view(whole)[slots] = rows.view(whole)

    def sorted(self) -> tuple[NDArray[np.uint64], NDArray[Any]]:
        """Return all ids in ascending order and their rows."""
        taken = np.flatnonzero(self._taken)
        order = taken[np.argsort(self._ids[taken])]
        return self._ids[order], self.read(order)

    def _allocate(self, capacity: int) -> None:
        self._ids = np.zeros(capacity, np.uint64)
        self._taken = np.zeros(capacity, np.bool_)
        self._rows = np.full(capacity, self._blank)
        self._count = 0
        # The top bits: the bottom ones chose the partition, so they are alike for all agents here.
        self._shift = np.uint64(65 - capacity.bit_length())

    def _home(self, agents: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (mix64(agents) >> self._shift).astype(np.int64)

    def _find(self, agents: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        slots = self._home(agents)
        known = (self._ids.take(slots) == agents) & self._taken.take(slots)
        rows = np.flatnonzero(~known)
        while len(rows):
            rows = rows[self._taken[slots[rows]]]  # a free cell ends the search: the agent is not here
            at = (slots[rows] + 1) & (self.capacity - 1)
            slots[rows] = at
            hit = (self._ids[at] == agents[rows]) & self._taken[at]
            known[rows[hit]] = True
            rows = rows[~hit]
        return slots, known

    def _insert(self, new: NDArray[np.uint64]) -> NDArray[np.int64]:
        slots = self._home(new)
        rows = np.arange(len(new))
        while len(rows):
            free = rows[~self._taken[slots[rows]]]
            self._ids[slots[free]] = new[free]
            self._taken[slots[free]] = True
            # Of several that wanted one free cell, the last written has it; the others go on.
            rows = rows[self._ids[slots[rows]] != new[rows]]
            slots[rows] = (slots[rows] + 1) & (self.capacity - 1)
        self._count += len(new)
        return slots

    def _rebuild(self, live: Callable[[NDArray[Any]], NDArray[np.bool_]] | None, *, room: int) -> None:
        old = np.flatnonzero(self._taken if live is None else self._taken & live(self._rows))
        ids, rows = self._ids[old], self.read(old)
        self._allocate(max(_SMALLEST, 1 << ((len(old) + room) * _ROOMY - 1).bit_length()))
        self.write(self._insert(ids), rows)
