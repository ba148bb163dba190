"""Session windows: the events of one agent that are closer than a gap, found in a batch.

    session    the events of one agent, each closer than the gap to the next; it covers [first, last + gap)
    fragment   what a batch holds of a session: such events again, and their exact statistics

Fragments stand in the order of (mix64(agent_id), start). mix64 is a bijection, so that is an order of agents too; its
top bits sort well, and a range of it is a shard.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import mix64

__all__ = ["Chains", "Order", "SessionWindow", "by_agent", "chains", "shard_bounds"]

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
    """Return the order of (N,) agents and times; which of rows that are equal in both comes first is not said.

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
        # Only the agents whose events came out of order. A lexsort would take four times as long.
        agent = np.concatenate(([0], np.cumsum(~same)))
        mixed_up = np.zeros(agent[-1] + 1, np.bool_)
        mixed_up[agent[1:][backwards]] = True
        at = np.flatnonzero(mixed_up[agent])
        rank = np.empty(len(at), np.int64)
        rank[np.argsort(times[at])] = np.arange(len(at))
        rows[at] = rows[at][np.argsort(agent[at] * len(at) + rank)]
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


def _by_hash(hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return the stable order of hashes: the row's number packed below the top bits takes a sixth of an argsort."""
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
