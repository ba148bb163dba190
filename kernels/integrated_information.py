"""Integrated information of a Gaussian system: what its past tells of its present beyond what its parts' pasts tell.

For a part M of the system, I(M) is the mutual information of its state before and after:

    I(M) = 1/2 ln( det S_before(M) det S_after(M) / det S_both(M) )       nats; S: covariances

For a cut of the whole X into A and B, phi = I(X) - I(A) - I(B), and Phi is the least phi over all cuts. This is the
empirical measure Phi_E of Barrett and Seth, "Practical Measures of Integrated Information for Time-Series Data", PLoS
Comput Biol 7(1) (2011) e1001052, with lag 1, without the weighting of cuts by entropy: differential entropies depend on
the units of the variables and may be negative. Phi is 0 if a cut leaves two independent parts, and the same in whatever
units and order the variables come. It is below 0 where parts hold the same information, which is subtracted twice then.

The revised Phi_R gives that back, phi + min(I(A), I(B), I(A; B'), I(B; A')), I(A; B') what the past of A tells of the
present of B: Mediano et al., "Towards an extended taxonomy of information dynamics via Integrated Information
Decomposition", arXiv 2109.13186, with the least as the redundancy.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError

__all__ = ["MAX_PARTS", "Integration", "integrate", "memories"]

MAX_PARTS = 10
"""Variables at most: there are 2^(n - 1) - 1 cuts, 511 of ten, each with three determinants."""

_RIDGE = 1e-9  # of the variance: two variables that are the same to rounding have a determinant still
_STILL = 1e-12  # a variance below this share of the mean square is rounding: the variable does not move


class Integration(NamedTuple):
    """What `integrate` found.

    Attributes
    ----------
    phi
        Phi, nats; 0 with fewer than two variables that move.
    revised
        Phi_R, nats, over the cut where it is least; 0 likewise.
    information
        I of the whole, nats.
    cut
        The variables of one side of the cut that Phi is over, as bits: bit k is variable k; 0 if there is no cut.
    moving
        How many variables move.
    """

    phi: float
    revised: float
    information: float
    cut: int
    moving: int


def integrate(both: NDArray[np.float64], scale: NDArray[np.float64] | None = None) -> Integration:
    """Find the least integrated cut.

    Parameters
    ----------
    both
        (2n, 2n) covariance of (before, after), n at most MAX_PARTS.
    scale
        (2n,) mean squares; variables whose variance is nothing against them are left out. None: the variances.

    Raises
    ------
    ConfigError
        n is above MAX_PARTS.

    Examples
    --------
    >>> independent = np.kron([[1.0, 0.5], [0.5, 1.0]], np.eye(2))
    >>> round(integrate(independent).phi, 6)
    0.0
    """
    size = len(both) // 2
    if size > MAX_PARTS:
        raise ConfigError(f"integrated information: at most {MAX_PARTS} variables, got {size}")
    variance = both.diagonal()
    moves = variance > _STILL * (variance if scale is None else scale)
    kept = np.flatnonzero(moves[:size] & moves[size:])
    if len(kept) < 2:
        return Integration(0.0, 0.0, 0.0, 0, len(kept))
    which = np.concatenate((kept, kept + size))
    own, other = memories(both[np.ix_(which, which)])
    parts = len(
        own
    )  # all bits set: the whole. Parts without the last variable, and the rest of each, are all cuts
    side = np.arange(1, (parts + 1) // 2)
    one, rest = side - 1, parts - side - 1
    phi = own[-1] - own[one] - own[rest]
    redundant = np.minimum.reduce([own[one], own[rest], other[one], other[rest]])
    least = int(phi.argmin())
    cut = sum(1 << int(kept[k]) for k in range(len(kept)) if side[least] >> k & 1)
    return Integration(float(phi[least]), float((phi + redundant).min()), float(own[-1]), cut, len(kept))


def memories(both: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the past of every part M but the empty one tells: of its own present, I(M), and of that of the rest.

    Both are (2^n - 1,), nats: entry m - 1 is the part whose variables are the bits of m.
    """
    size = len(both) // 2
    deviation = np.sqrt(both.diagonal())
    correlation = both / (deviation[:, None] * deviation)
    correlation[np.diag_indices(2 * size)] = 1 + _RIDGE
    member = _members(size)
    before = _logdet(correlation[:size, :size], member)
    after = _logdet(correlation[size:, size:], member)
    rest = np.append(after[-2::-1], 0.0)  # the part of all has no rest
    own = before + after - _logdet(correlation, np.concatenate((member, member), axis=1))
    other = before + rest - _logdet(correlation, np.concatenate((member, 1 - member), axis=1))
    return 0.5 * own, 0.5 * other


def _logdet(matrix: NDArray[np.float64], member: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ln det of the submatrix of each part (B, n): the others stand in it as rows of the identity."""
    parts = matrix * (member[:, :, None] * member[:, None, :])
    index = np.arange(member.shape[1])
    parts[:, index, index] += 1 - member
    found: NDArray[np.float64] = np.linalg.slogdet(parts)[1]
    return found


@cache
def _members(size: int) -> NDArray[np.float64]:
    """Return for each part, 1 to 2^n - 1, which variables it has: (2^n - 1, n) of 0 and 1."""
    return (np.arange(1, 1 << size)[:, None] >> np.arange(size) & 1).astype(np.float64)
