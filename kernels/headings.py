"""Headings as integers: unit vectors from a table of 65,536 directions, so that sums of them ignore their order.

A heading is rounded to the nearest of the directions (1e-4 rad apart, 0.0055 degrees), and its cosine and sine are
looked up as multiples of 2**-20. So means and order parameters are the same bits whatever agents are added up together,
which a cosine computed anew would not promise; and a look-up takes a third of its time.
"""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DIRECTIONS",
    "SECTORS",
    "UNIT",
    "directions",
    "mean_heading",
    "polarisation",
    "sectors",
    "vectors",
]

DIRECTIONS = 65_536
UNIT = 1 << 20
"""Length of a vector: sums of 2**42 of them fit int64."""
SECTORS = 8
"""Sectors of 45 degrees, the first one around heading 0."""
_NONE = DIRECTIONS  # the row of agents without a heading
_SCALE = DIRECTIONS / (2 * math.pi)
_ANGLES = np.arange(DIRECTIONS) / _SCALE
_COS = np.append(np.rint(np.cos(_ANGLES) * UNIT), 0).astype(np.int64)
_SIN = np.append(np.rint(np.sin(_ANGLES) * UNIT), 0).astype(np.int64)


def directions(heading_rad: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the (N,) numbers of the nearest directions, `DIRECTIONS` where a heading is NaN or infinite.

    >>> directions(np.array([0, np.pi, -np.pi / 2, np.nan], "f4")).tolist()
    [0, 32768, 49152, 65536]
    """
    turns = heading_rad.astype(np.float64) * _SCALE
    known = np.abs(turns) < 2.0**52
    if known.all():
        return (np.rint(turns, out=turns).astype(np.int64) & (DIRECTIONS - 1)).astype(np.int32)
    whole = np.rint(np.where(known, turns, 0.0)).astype(np.int64) & (DIRECTIONS - 1)
    return np.where(known, whole, _NONE).astype(np.int32)


def vectors(direction: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the (N,) cosines and sines of directions in steps of 1 / UNIT; 0, 0 without a heading."""
    return _COS[direction], _SIN[direction]


def sectors(direction: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the (N,) sectors of directions, -1 without a heading.

    >>> sectors(directions(np.array([0.1, -0.1, 0.5, np.nan], "f4"))).tolist()
    [0, 0, 1, -1]
    """
    width = DIRECTIONS // SECTORS
    found = ((direction + width // 2) // width) % SECTORS
    return np.where(direction == _NONE, -1, found).astype(np.int32)


def polarisation(
    n: NDArray[np.int64], cos_sum: NDArray[np.int64], sin_sum: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the length of the (G,) mean vectors: 1 where all have one heading, 0 where they cancel, NaN of none."""
    x, y = cos_sum.astype(np.float64), sin_sum.astype(np.float64)
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = np.sqrt(x * x + y * y) / (n * float(UNIT))
    return found


def mean_heading(
    n: NDArray[np.int64], cos_sum: NDArray[np.int64], sin_sum: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the direction of the (G,) mean vectors, radians in [0, 2 pi), NaN of none."""
    angle = np.arctan2(sin_sum.astype(np.float64), cos_sum.astype(np.float64)) % (2 * math.pi)
    return np.where(n > 0, angle, np.nan).astype(np.float32)
