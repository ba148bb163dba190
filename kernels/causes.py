"""Whether the events that others name as their causes came before them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Identities", "gaps_us"]

NEVER_US = np.int64(2**62)
"""Instead of a gap: there is no such cause."""


class Identities(NamedTuple):
    """K events by agent, the agent's own number, and time: (K,) uint64, uint32, int64."""

    agent_id: NDArray[np.uint64]
    seq: NDArray[np.uint32]
    time_us: NDArray[np.int64]


def gaps_us(causes: Identities, named: Identities, *, reach_us: int, wait_us: int) -> NDArray[np.int64]:
    """Return how far each named cause lies behind its effect: 0 if it came before, as it should.

    Parameters
    ----------
    causes
        K events that could be causes, in any order.
    named
        M effects: agent and number of the cause, and the effect's own time.
    reach_us, wait_us
        A cause counts from `reach_us` before its effect to `wait_us` after it.

    Returns
    -------
    (M,) 0 if a cause is there in time; if the first comes later how much later; `NEVER_US` if there is none.

    Examples
    --------
    >>> a, one, at = np.array([7], np.uint64), np.array([1], np.uint32), np.array([100])
    >>> gaps_us(Identities(a, one, at), Identities(a, one, at - 30), reach_us=50, wait_us=50).tolist()
    [30]
    """
    size = len(causes.time_us)
    agent_id = np.concatenate((causes.agent_id, named.agent_id))
    seq, time_us = np.concatenate((causes.seq, named.seq)), np.concatenate((causes.time_us, named.time_us))
    effect = np.arange(len(time_us)) >= size
    order = np.lexsort((effect, time_us, seq, agent_id))  # of one time a cause comes first
    agent_id, seq, time_us, effect = agent_id[order], seq[order], time_us[order], effect[order]
    numbers = np.arange(len(order))
    last = np.maximum.accumulate(np.where(effect, -1, numbers))
    following = np.where(effect, len(order), numbers)[::-1]
    following = np.minimum.accumulate(following)[::-1]

    def same(at: NDArray[np.int64]) -> NDArray[np.bool_]:
        inside = (at >= 0) & (at < len(order))
        at = np.where(inside, at, 0)
        found: NDArray[np.bool_] = inside & (agent_id[at] == agent_id) & (seq[at] == seq)
        return found

    behind = time_us[np.clip(following, 0, len(order) - 1)] - time_us
    gaps = np.where(same(following) & (behind <= wait_us), behind, NEVER_US)
    before = same(last) & (time_us - time_us[np.maximum(last, 0)] <= reach_us)
    found = np.empty(len(order), np.int64)
    found[order] = np.where(before, 0, gaps)
    return found[size:]
