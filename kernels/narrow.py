"""Integers in the fewest bytes that hold them: what a snapshot writes costs by the byte.

A row of a block becomes the smallest integer type that its values fit; a row equal to the one before it (the number of
values where none is null) becomes nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["narrow", "widen"]

Integers = NDArray[np.signedinteger] | NDArray[np.unsignedinteger]

_TYPES = tuple(np.dtype(code) for code in ("u1", "i1", "u2", "i2", "u4", "i4"))


def narrow(rows: NDArray[np.int64]) -> list[Integers | None]:
    """Return each row of (I, K) `rows` in the smallest type that holds it; None stands for the row before it.

    Examples
    --------
    >>> [None if row is None else row.dtype.str for row in narrow(np.array([[1, 2], [1, 2], [-1, 70000]]))]
    ['|u1', None, '<i4']
    """
    found: list[Integers | None] = []
    for number, row in enumerate(rows):
        repeated = number > 0 and np.array_equal(row, rows[number - 1])
        found.append(None if repeated else _narrowed(row))
    return found


def widen(rows: Sequence[Integers | None], size: int) -> NDArray[np.int64]:
    """Return the (I, size) rows that `narrow` was given.

    Examples
    --------
    >>> widen([np.array([1, 2], "u1"), None], 2).tolist()
    [[1, 2], [1, 2]]
    """
    wide = np.empty((len(rows), size), np.int64)
    for number, row in enumerate(rows):
        wide[number] = wide[number - 1] if row is None else row
    return wide


def _narrowed(row: NDArray[np.int64]) -> Integers:
    if not len(row):
        return row.astype(np.uint8)
    low, high = int(row.min()), int(row.max())
    for dtype in _TYPES:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return row.astype(dtype)
    return row
