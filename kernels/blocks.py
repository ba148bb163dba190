"""Rows go through a model in blocks of one fixed size, the last one filled up.

A matrix product of another shape may take another path through the library and round differently, so a score would
depend on how events were batched.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK_ROWS", "in_blocks"]

BLOCK_ROWS = 1536
"""Whole tiles of every matrix kernel (4, 6, 12, 16, 24, 48 rows); a block of it stays in a core's second cache."""

Columns = Sequence[NDArray[Any]]


def in_blocks(
    run: Callable[[Columns], NDArray[np.float32]], columns: Columns, width: tuple[int, ...], rows: int
) -> NDArray[np.float32]:
    """Return what `run` makes of the columns, block by block.

    Parameters
    ----------
    run
        Takes columns of `rows` rows each, returns (rows, *width).
    columns
        (N, ...) each: the first axis is cut.
    width
        The further axes of the result.
    rows
        In a block.

    Returns
    -------
    NDArray[np.float32]
        (N, *width).

    Examples
    --------
    >>> in_blocks(lambda block: block[0] * len(block[0]), [np.arange(3, dtype="f4")], (), 2).tolist()
    [0.0, 2.0, 4.0]
    """
    size = len(columns[0])
    result = np.empty((size, *width), np.float32)
    whole = size - size % rows
    for start in range(0, whole, rows):
        result[start : start + rows] = run([column[start : start + rows] for column in columns])
    if whole < size:
        result[whole:] = run([_filled(column[whole:], rows) for column in columns])[: size - whole]
    return result


def _filled(part: NDArray[Any], rows: int) -> NDArray[Any]:
    filled = np.zeros((rows, *part.shape[1:]), part.dtype)
    filled[: len(part)] = part
    return filled
