"""The covariance of a system's states with their successors, over a window that fades exponentially.

The past is fading: a pair of states counts lambda = exp(-1 / memory) of the one that followed it. The moments are kept
about the running mean (West, "Updating mean and variance estimates", CACM 22 (1979) 532), so a step costs O(n^2) and
nothing cancels, and the covariance of (before, after) is one matrix without negative eigenvalues.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LaggedCovariance"]

Vector = NDArray[np.float64]


class LaggedCovariance:
    """The joint covariance of (x[t - 1], x[t]) of n variables.

    Parameters
    ----------
    size
        n.
    memory
        Steps after which a pair counts 1 / e of what it did.

    Examples
    --------
    >>> seen = LaggedCovariance(1, memory=1e9)
    >>> for x in (0.0, 2.0, 0.0, 2.0, 0.0):
    ...     seen.step(np.array([x]))
    >>> seen.matrix.round(6).tolist(), round(seen.pairs)
    ([[1.0, -1.0], [-1.0, 1.0]], 4)
    """

    def __init__(self, size: int, *, memory: float) -> None:
        self._kept = math.exp(-1 / memory)
        self._last: Vector | None = None
        self._weight, self._squares = 0.0, 0.0
        self._mean: Vector = np.zeros(2 * size)
        self._moments: Vector = np.zeros((2 * size, 2 * size))

    def step(self, x: Vector) -> None:
        """Take in the next state, (n,)."""
        before, self._last = self._last, x.astype(np.float64)
        if before is None:
            return
        pair = np.concatenate((before, self._last))
        old = self._weight * self._kept
        self._weight = old + 1
        self._squares = self._squares * self._kept**2 + 1
        off = pair - self._mean
        self._mean += off / self._weight
        self._moments *= self._kept
        self._moments += (old / self._weight) * (off[:, None] * off)

    @property
    def matrix(self) -> Vector:
        """(2n, 2n) covariance of (before, after); 0 before the first pair."""
        return self._moments / max(self._weight, 1.0)

    @property
    def scale(self) -> Vector:
        """(2n,) mean square of each variable: what its variance is small against if it is none."""
        return self.matrix.diagonal() + self._mean**2

    @property
    def pairs(self) -> float:
        """How many equally weighted pairs tell as much (Kish's effective sample size)."""
        return self._weight**2 / self._squares if self._squares else 0.0

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "last": self._last,
            "weight": self._weight,
            "squares": self._squares,
            "mean": self._mean.copy(),
            "moments": self._moments.copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state that `snapshot` returned."""
        self._last, self._weight, self._squares = state["last"], state["weight"], state["squares"]
        self._mean, self._moments = state["mean"].copy(), state["moments"].copy()
