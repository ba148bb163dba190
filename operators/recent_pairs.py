"""A small cache of (cell and pane, agent) pairs that were just shipped, so that they are not shipped again.

It may forget, which only ships a pair twice; it never claims to have seen what it has not. So counts of distinct agents
stay exact, whatever it holds, and it needs no snapshot.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import mix64

__all__ = ["RecentPairs"]

_PLACES = 2**17  # of 16 bytes each


class RecentPairs:
    """The last pair of each agent, direct mapped by the agent's hash.

    Examples
    --------
    >>> seen = RecentPairs()
    >>> key, agent = np.array([1, 1, 2]), np.array([9, 8, 9], np.uint64)
    >>> seen.unseen(key, agent).tolist(), seen.unseen(key[1:], agent[1:]).tolist()
    ([True, True, True], [False, False])
    """

    def __init__(self) -> None:
        self._agent = np.zeros(_PLACES, np.uint64)
        self._key = np.full(_PLACES, np.iinfo(np.int64).min, np.int64)

    def unseen(self, key: NDArray[np.int64], agent_id: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return the (N,) mask of pairs that are not in the cache, and put the pairs there."""
        place = (mix64(agent_id) & np.uint64(_PLACES - 1)).astype(np.int64)
        new: NDArray[np.bool_] = (self._agent[place] != agent_id) | (self._key[place] != key)
        # One row's agent and key must land together: of rows that share a place, numpy's last one wins in both.
        self._agent[place], self._key[place] = agent_id, key
        return new
