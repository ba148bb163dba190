"""Samples of agents: which are in, and how far off what is counted in them may be.

One agent in `one_in` is in, by its hash, so that whoever asks finds the same ones. The hash's upper half decides: an agent's
partition follows from the lower bits, and no partition must be left out.

A count over a sample is multiplied by `one_in`. With n agents in the sample that stand for equal numbers of events, its
relative standard error is sqrt((1 - 1 / one_in) / n) (Bernoulli sampling of clusters; Horvitz and Thompson, "A
generalization of sampling without replacement from a finite universe", JASA 1952).
"""

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import mix64

__all__ = ["in_sample", "relative_error"]


def in_sample(agent_id: NDArray[np.uint64], one_in: int) -> NDArray[np.bool_]:
    """Return (N,) whether each agent is in the sample.

    >>> ids = np.arange(100_000, dtype=np.uint64)
    >>> round(float(in_sample(ids, 10).mean()), 2)
    0.1
    """
    found: NDArray[np.bool_] = (mix64(agent_id) >> np.uint64(32)) % np.uint64(one_in) == 0
    return found


def relative_error(sampled: NDArray[np.int64], one_in: int) -> NDArray[np.float32]:
    """Return (C,) relative standard errors of counts over (C,) sampled agents; infinite where there is none.

    >>> relative_error(np.array([0, 9, 900]), 10).tolist()
    [inf, 0.3162277638912201, 0.03162277489900589]
    """
    with np.errstate(divide="ignore"):
        return np.sqrt((1 - 1 / one_in) / sampled).astype(np.float32)
