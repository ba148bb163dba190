"""From exact integer sums to float64 statistics: the only place where sums turn into means and variances.

For n values of q steps with sum s and sum of squares S2, all integers: m = round(s / n) and r = s - m n give
the centred sum of squares c = sum((q - m)**2) = S2 - m (s + r), exactly. In steps, variance = c / n - (r / n)**2.
As |r / n| <= 1/2 and c >= |r|, the difference is at least half of c / n: nothing cancels, whatever the mean.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIMB_BITS", "finalise", "split_limbs", "total"]

LIMB_BITS = 32
_LIMB_MASK = (1 << LIMB_BITS) - 1
# Below this estimate of c, arithmetic modulo 2**64 gives c itself: the estimate errs by at most 2**-50 of
# S2 < 2**46 * n, so by less than 2**59 for any n < 2**63.
_WRAP_SAFE = float(1 << 62)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def split_limbs(squares: Ints) -> tuple[Ints, Ints]:
    """Split sums of squares (K,), each in [0, 2**63), into limbs: value = lo + hi * 2**32, lo in [0, 2**32).

    Limbs can be added up separately 2**31 times before an int64 overflows.

    Examples
    --------
    >>> [limb.tolist() for limb in split_limbs(np.array([5, 2**32 + 7]))]
    [[5, 7], [0, 1]]
    """
    return squares & _LIMB_MASK, squares >> LIMB_BITS


def total(s: Ints, scale: float) -> Floats:
    """Turn sums of steps into sums in the metric's unit: s / scale, with `scale` steps per unit."""
    return s / np.float64(scale)


def finalise(
    n: Ints, s: Ints, lo: Ints | None, hi: Ints | None, scale: float
) -> tuple[Floats, Floats | None]:
    """Compute mean and population variance.

    Parameters
    ----------
    n, s
        (K,) numbers of values and their sums in steps.
    lo, hi
        (K,) limbs of the sums of squares, need not be normalised; None if the variance is not asked for.
    scale
        Steps per unit (`Metric.scale`).

    Returns
    -------
    mean, variance
        (K,) float64, NaN where n is 0; the variance is never negative, and None without limbs.

    Examples
    --------
    >>> mean, variance = finalise(*(np.array([k]) for k in (2, 5, 13, 0)), scale=1.0)
    >>> float(mean[0]), float(variance[0])
    (2.5, 0.25)
    """
    empty = n == 0
    count = np.maximum(n, 1)
    mean = s / (count * np.float64(scale))
    mean[empty] = np.nan
    if lo is None or hi is None:
        return mean, None
    m = (s + count // 2) // count
    r = s - m * count
    variance = _centred(m, s + r, lo, hi) / count - np.square(r / count)
    variance /= np.float64(scale) ** 2
    variance[empty] = np.nan
    return mean, np.maximum(variance, 0.0)


def _centred(m: Ints, factor: Ints, lo: Ints, hi: Ints) -> Floats:
    """Return S2 - m * factor, exact before its one rounding to float64."""
    wrapped = (hi << LIMB_BITS) + lo - m * factor  # int64 arrays wrap silently: right modulo 2**64
    centred = wrapped.astype(np.float64)
    estimate = (hi * float(1 << LIMB_BITS) + lo) - m.astype(np.float64) * factor
    # A spread of millions of steps over 2**16 events and more: rare, so Python's integers are fast enough.
    for k in np.flatnonzero(estimate >= _WRAP_SAFE):
        centred[k] = float((int(hi[k]) << LIMB_BITS) + int(lo[k]) - int(m[k]) * int(factor[k]))
    return centred
