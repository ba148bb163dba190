"""The rows that a model reads, of the columns that there are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["feature_rows"]


def feature_rows(columns: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Put F columns beside each other.

    Parameters
    ----------
    columns
        (N,) each, of any numbers.

    Returns
    -------
    NDArray[np.float32]
        (N, F), each value rounded to float32.

    Examples
    --------
    >>> feature_rows([np.array([1, 2]), np.array([0.5, np.nan])]).tolist()
    [[1.0, 0.5], [2.0, nan]]
    """
    rows = np.empty((len(columns[0]), len(columns)), np.float32)
    with np.errstate(over="ignore"):
        for i, column in enumerate(columns):
            rows[:, i] = column
    return rows
