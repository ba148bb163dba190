"""Session windows: the events of one agent that are closer than a gap, as fragments that join where they meet.

    session    the events of one agent, each closer than the gap to the next; it covers [first, last + gap)
    fragment   a part of a session: such events again, and their exact statistics
    joining    two fragments of an agent are of one session if one starts closer than the gap to the reach of the other

Joining is exact and asks for no order, so a session is a function of its events alone. Fragments stand in the order of
(mix64(agent_id), start): mix64 is a bijection, so that is an order of agents too, in which shards are ranges, and whose
top bits sort well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import mix64

__all__ = ["Chains", "Fragments", "Order", "SessionWindow", "by_agent", "chains", "join", "published", "shard_bounds"]

_TICKS = 8  # looking costs a pass over the open sessions; an eighth of their least age late is soon enough


@dataclass(frozen=True, slots=True)
class SessionWindow:
    """A named session window.

    Parameters
    ----------
    name
        As configured.
    gap_us
        Events of an agent that are closer than this belong together, microseconds.
    lateness_us
        How far an event may lie behind its partition's running maximum and still be counted.
    """

    name: str
    gap_us: int
    lateness_us: int

    @property
    def wait_us(self) -> int:
        """How far past its last event the watermark completes a session, microseconds."""
        return self.gap_us + self.lateness_us

    @property
    def tick_us(self) -> int:
        """Step of the watermark at which to look for complete sessions, microseconds."""
        return max(1, self.wait_us // _TICKS)


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


class Order(NamedTuple):
    """N rows in the order of (mix64(agent_id), time): (N,) row numbers, and (N,) hashes in that order."""

    rows: NDArray[np.intp]
    hashes: NDArray[np.uint64]


class Chains(NamedTuple):
    """Events as fragments: K of them, in order.

    Attributes
    ----------
    fragment
        (N,) int32 number of the fragment of each event.
    first
        (K,) the row of each fragment's first event.
    hashes
        (K,) mix64 of the agents.
    start_us, last_us
        (K,) times of the first and the last event.
    """

    fragment: NDArray[np.int32]
    first: NDArray[np.intp]
    hashes: NDArray[np.uint64]
    start_us: NDArray[np.int64]
    last_us: NDArray[np.int64]


def by_agent(agent_id: NDArray[np.uint64], time_us: NDArray[np.int64]) -> Order:
    """Return the order of (N,) agents and times; rows that are equal in both keep theirs.

    Examples
    --------
    >>> by_agent(np.array([7, 9, 7], np.uint64), np.array([5, 1, 4])).rows.tolist()
    [2, 0, 1]
    """
    hashes = mix64(agent_id)
    rows = _by_hash(hashes)
    hashes, times = hashes[rows], time_us[rows]
    same = hashes[1:] == hashes[:-1]
    backwards = same & (times[1:] < times[:-1])
    if backwards.any():
        # Only the agents whose events came out of order: two sorts of all rows cost six times as much as what is above.
        agent = np.concatenate(([0], np.cumsum(~same)))
        mixed_up = np.zeros(agent[-1] + 1, np.bool_)
        mixed_up[agent[1:][backwards]] = True
        at = np.flatnonzero(mixed_up[agent])
        rows[at] = rows[at][np.lexsort((times[at], agent[at]))]
    return Order(rows, hashes)


def chains(order: Order, time_us: NDArray[np.int64], gap_us: int) -> Chains:
    """Cut N events, at least one, into fragments.

    Parameters
    ----------
    order
        Their order.
    time_us
        (N,) their times, in the order of the rows.
    gap_us
        Two neighbours that are not closer than this are of two fragments.

    Examples
    --------
    >>> agent_id, time_us = np.array([7, 7, 7], np.uint64), np.array([30, 10, 19])
    >>> found = chains(by_agent(agent_id, time_us), time_us, gap_us=10)
    >>> found.fragment.tolist(), found.start_us.tolist(), found.last_us.tolist()
    ([1, 0, 0], [10, 30], [19, 30])
    """
    times = time_us[order.rows]
    new = np.ones(len(times), np.bool_)
    new[1:] = order.hashes[1:] != order.hashes[:-1]
    new[1:] |= times[1:] - times[:-1] >= gap_us
    heads = np.flatnonzero(new)
    fragment = np.empty(len(times), np.int32)
    fragment[order.rows] = np.cumsum(new, dtype=np.int32) - 1
    ends = np.append(heads[1:], len(times)) - 1
    return Chains(fragment, order.rows[heads], order.hashes[heads], times[heads], times[ends])


def shard_bounds(hashes: NDArray[np.uint64], shards: int) -> list[int]:
    """Return where each of the shards begins among (K,) rising hashes, and K: a shard is a range of hashes.

    Examples
    --------
    >>> shard_bounds(np.array([5, 2**62, 2**63], np.uint64), 2)
    [0, 2, 3]
    """
    # The top bits: the bottom ones chose the partition.
    shard = (hashes >> np.uint64(32)) * np.uint64(shards) >> np.uint64(32)
    bounds: list[int] = np.searchsorted(shard, np.arange(shards + 1, dtype=np.uint64)).tolist()
    return bounds


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
    rows = Fragments._make(np.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True))
    order = by_agent(rows.agent_id, rows.start_us)
    rows = rows.at(order.rows)
    new = np.ones(rows.size, np.bool_)
    new[1:] = order.hashes[1:] != order.hashes[:-1]
    reach = _reach(new, rows.last_us)
    new[1:] |= rows.start_us[1:] - reach[:-1] >= gap_us
    heads = np.flatnonzero(new)
    if len(heads) == rows.size:
        return rows, rows.between(0, 0)
    joined = ~(new & np.append(new[1:], True))
    withdrawn = joined & published(rows.revision)
    revision = rows.revision + withdrawn
    return Fragments(
        rows.agent_id[heads],
        rows.start_us[heads],
        np.maximum.reduceat(rows.last_us, heads),
        np.maximum.reduceat(revision, heads),
        np.add.reduceat(rows.ints, heads, axis=1),
        _extrema(rows.floats, heads),
    ), rows.at(np.flatnonzero(withdrawn))


def _by_hash(hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return the stable order of hashes: the row's number packed below the top bits sorts in a sixth of an argsort."""
    low = np.uint64((1 << max(len(hashes) - 1, 0).bit_length()) - 1)
    packed = hashes & ~low
    packed |= np.arange(len(hashes), dtype=np.uint64)
    packed.sort()
    packed &= low
    rows = packed.astype(np.intp)
    ordered = hashes[rows]
    if bool((ordered[1:] < ordered[:-1]).any()):  # two agents share the top bits: one batch in 100,000
        return np.argsort(hashes, kind="stable")
    return rows


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


def published(revision: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Say of (K,) revisions whether what was published stands."""
    return (revision & 1).astype(np.bool_)


def _extrema(floats: NDArray[np.float32], heads: NDArray[np.intp]) -> NDArray[np.float32]:
    found = np.empty((len(floats), len(heads)), np.float32)
    for row, values in enumerate(floats):
        (np.maximum if row % 2 else np.minimum).reduceat(values, heads, out=found[row])
    return found
