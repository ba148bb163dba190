"""Fragments of sessions as columns: joined where they meet, and what was published of them taken back.

Joining is exact and asks for no order: two fragments of an agent are of one session if one starts closer than the gap
to the reach of the other. So a session is a function of its events alone, however they were cut.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.sessions import by_agent

__all__ = ["Fragments", "join", "published"]


class Fragments(NamedTuple):
    """K fragments.

    Attributes
    ----------
    agent_id
        (K,) uint64.
    start_us, last_us
        (K,) int64 times of the first and the last event.
    revision
        (K,) int32 how often the session was published or withdrawn: odd while what was published stands.
    ints, floats
        (I, K), (F, K) statistics, see `kernels.aggregate`. An int64 holds the limbs of 2**31 fragments: six years of a
        session, at ten batches a second.
    """

    agent_id: NDArray[np.uint64]
    start_us: NDArray[np.int64]
    last_us: NDArray[np.int64]
    revision: NDArray[np.int32]
    ints: NDArray[np.int64]
    floats: NDArray[np.float32]

    @classmethod
    def empty(cls, int_rows: int, float_rows: int) -> "Fragments":
        """Return no fragments."""
        none = np.empty(0, np.int64)
        blocks = np.empty((int_rows, 0), np.int64), np.empty((float_rows, 0), np.float32)
        return cls(np.empty(0, np.uint64), none, none, np.empty(0, np.int32), *blocks)

    @classmethod
    def of(cls, parts: Sequence["Fragments"]) -> "Fragments":
        """Return the fragments of at least one part, one after the other."""
        columns = zip(*parts, strict=True)
        return cls._make(np.concatenate(column, axis=-1) for column in columns)

    @property
    def size(self) -> int:
        """Number of fragments K."""
        return len(self.agent_id)

    def at(self, rows: NDArray[np.intp]) -> "Fragments":
        """Return the fragments of some rows."""
        return Fragments._make(column.take(rows, axis=-1) for column in self)

    def between(self, first: int, last: int) -> "Fragments":
        """Return the fragments first to last - 1, as views."""
        return Fragments._make(column[..., first:last] for column in self)


def join(parts: Sequence[Fragments], gap_us: int) -> tuple[Fragments, Fragments]:
    """Join the fragments that are of one session.

    Parameters
    ----------
    parts
        At least one, each with fragments in any order.
    gap_us
        The session window's.

    Returns
    -------
    joined
        In order; an agent's are apart by the gap at least. The revision of what was joined is the greatest, even.
    withdrawn
        Those that were published and are part of a larger fragment now, as they were.

    Examples
    --------
    >>> one = Fragments.empty(1, 0)._replace(agent_id=np.array([7], np.uint64), ints=np.array([[2]]))
    >>> parts = [one._replace(start_us=t, last_us=t, revision=np.array([1], "i4")) for t in np.array([[10], [15]])]
    >>> joined, withdrawn = join(parts, gap_us=6)
    >>> joined.ints.tolist(), joined.revision.tolist(), withdrawn.start_us.tolist()
    ([[4]], [2], [10, 15])
    """
    agent_id, start_us, last_us, revision = (
        np.concatenate(columns) for columns in zip(*(part[:4] for part in parts), strict=True)
    )
    order = by_agent(agent_id, start_us)
    start_us, last_us, revision = start_us[order.rows], last_us[order.rows], revision[order.rows]
    new = np.ones(len(order.rows), np.bool_)
    new[1:] = order.hashes[1:] != order.hashes[:-1]
    reach = _reach(new, last_us)
    new[1:] |= start_us[1:] - reach[:-1] >= gap_us
    heads = np.flatnonzero(new)
    withdrawn = published(revision) & ~(new & np.append(new[1:], True))
    target = np.empty(len(new), np.intp)
    target[order.rows] = np.cumsum(new) - 1
    joined = Fragments(
        agent_id[order.rows[heads]],
        start_us[heads],
        np.maximum.reduceat(last_us, heads) if len(heads) else last_us,
        np.maximum.reduceat(revision + withdrawn, heads) if len(heads) else revision,
        *_blocks(parts, target, len(heads)),
    )
    return joined, _pick(parts, np.sort(order.rows[withdrawn]))


def published(revision: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Say of (K,) revisions whether what was published stands."""
    return (revision & 1).astype(np.bool_)


def _reach(first: NDArray[np.bool_], last_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the running maximum of (K,) times within each agent, whose first rows are marked."""
    if not bool(((last_us[1:] < last_us[:-1]) & ~first[1:]).any()):
        return last_us
    # Ranks instead of times leave room for the number of the agent above them.
    by_time = np.argsort(last_us, kind="stable")
    rank = np.empty(len(by_time), np.int64)
    rank[by_time] = np.arange(len(by_time))
    rank += np.cumsum(first) * len(rank)
    np.maximum.accumulate(rank, out=rank)
    reach: NDArray[np.int64] = last_us[by_time[rank % len(rank)]]
    return reach


def _blocks(
    parts: Sequence[Fragments], target: NDArray[np.intp], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Add up the statistics of the parts by target: scattering takes a third of putting them in order first."""
    ints = np.zeros((len(parts[0].ints), size), np.int64)
    floats = np.empty((len(parts[0].floats), size), np.float32)
    floats[::2], floats[1::2] = np.inf, -np.inf
    first = 0
    for part in parts:
        where, first = target[first : first + part.size], first + part.size
        for into, values in zip(ints, part.ints, strict=True):
            np.add.at(into, where, values)
        for row, (extreme, values) in enumerate(zip(floats, part.floats, strict=True)):
            (np.maximum if row % 2 else np.minimum).at(extreme, where, values)
    return ints, floats


def _pick(parts: Sequence[Fragments], rows: NDArray[np.intp]) -> Fragments:
    """Return some rows, given in rising order, of the parts as if they were one."""
    if not len(rows):
        return parts[0].between(0, 0)
    found, first = [], 0
    for part in parts:
        low, high = np.searchsorted(rows, [first, first + part.size])
        found.append(part.at(rows[low:high] - first))
        first += part.size
    return Fragments.of(found)
