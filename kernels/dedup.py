"""Duplicates of events within the lateness, exactly.

An event that is not late is a duplicate if an earlier event of its partition had the same (agent_id, time_us, seq).
Older identities need not be kept: a second copy of such an event is late before it is a duplicate.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Recent", "find_duplicates"]


class Recent(NamedTuple):
    """Identities of the R events within the lateness: (R,) arrays."""

    agent_id: NDArray[np.uint64]
    time_us: NDArray[np.int64]
    seq: NDArray[np.uint32]

    @classmethod
    def empty(cls) -> "Recent":
        """Return no identities."""
        return cls(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.uint32))


def find_duplicates(recent: Recent, events: Recent, *, oldest_us: int) -> tuple[NDArray[np.bool_], Recent]:
    """Find the duplicates among N events that follow `recent`.

    Parameters
    ----------
    recent
        Identities of the events before.
    events
        Identities of the N events, in partition order; none of them late.
    oldest_us
        Identities with an earlier time are forgotten.

    Returns
    -------
    (N,) mask of the duplicates, and the identities to keep for the next call.

    Examples
    --------
    >>> e = Recent(np.array([7, 7], np.uint64), np.array([1, 1]), np.array([3, 3], np.uint32))
    >>> find_duplicates(Recent.empty(), e, oldest_us=0)[0].tolist()
    [False, True]
    """
    joined = Recent(
        np.concatenate((recent.agent_id, events.agent_id)),
        np.concatenate((recent.time_us, events.time_us)),
        np.concatenate((recent.seq, events.seq)),
    )
    order = np.lexsort(
        (joined.seq, joined.time_us, joined.agent_id)
    )  # stable: the first of equals stays first
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in joined:
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    repeated = np.zeros(len(order), np.bool_)
    repeated[order[1:][same]] = True
    kept = ~repeated & (joined.time_us >= oldest_us)
    return repeated[len(recent.time_us) :], Recent._make(column[kept] for column in joined)
