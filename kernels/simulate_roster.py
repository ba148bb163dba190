"""The simulated agents of a partition, in the order in which they last turned: a ring of columns.

The cohort that turns next stands at the head. It leaves there, and its agents of the next leg enter at the tail, so
nothing is searched, moved or grown, and the rows of a tick are at most two runs of the ring.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.simulate_events import Members

__all__ = ["Roster"]


class Roster:
    """A ring of at most `capacity` agents; row 0 is the one that turned first.

    Examples
    --------
    >>> roster = Roster(10)
    >>> len(roster), list(roster.runs(0, 0, longest=4))
    (0, [])
    """

    def __init__(self, capacity: int) -> None:
        self._store = Members(
            agent_id=np.empty(capacity, np.uint64),
            word=np.empty(capacity, np.uint32),
            unborn=np.empty(capacity, np.uint32),
            turned=np.empty(capacity, np.uint32),
            level=np.empty(capacity, np.uint8),
            start_m=np.empty((3, capacity), np.float32),
            slope_m=np.empty((3, capacity), np.float32),
            bend_m=np.empty((3, capacity), np.float32),
        )
        self._capacity = capacity
        self._head = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(column.nbytes for column in self._store)

    def clear(self) -> None:
        """Take all rows out."""
        self._head = self._count = 0

    def turn(self, leaving: int, entering: Members) -> None:
        """Take the first `leaving` rows out and put `entering` in after the last."""
        self._head = (self._head + leaving) % self._capacity
        self._count += len(entering.agent_id) - leaving
        if self._count > self._capacity:
            raise OverflowError(f"{self._count} agents in a roster of {self._capacity}")
        first = self._count - len(entering.agent_id)
        at = 0
        for run in self._runs(first, self._count, self._capacity):
            stop = at + run.stop - run.start
            places: tuple[NDArray[Any], ...] = self._store.rows(run)
            values: tuple[NDArray[Any], ...] = entering.rows(slice(at, stop))
            for place, value in zip(places, values, strict=True):
                np.copyto(place, value)
            at = stop

    def runs(self, start: int, stop: int, *, longest: int) -> Iterator[Members]:
        """Yield rows `start` to `stop` as views of at most `longest` agents."""
        for run in self._runs(start, stop, longest):
            yield self._store.rows(run)

    def _runs(self, start: int, stop: int, longest: int) -> Iterator[slice]:
        """Yield where rows `start` to `stop` stand in the store."""
        while start < stop:
            first = (self._head + start) % self._capacity
            count = min(stop - start, longest, self._capacity - first)
            yield slice(first, first + count)
            start += count
