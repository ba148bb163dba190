"""The ticks of event time that the events of a batch are in, numbered within the batch so that keys stay small."""

import numpy as np
from numpy.typing import NDArray

from kernels.schema import Columns
from operators.batch import Batch, take

__all__ = ["in_time", "numbered"]


def in_time(batch: Batch, lateness_us: int) -> Columns:
    """Return the columns of the events of a batch that are not late by that lateness."""
    if batch.behind_us is None:
        return batch.columns
    late = batch.behind_us > lateness_us
    return take(batch.columns, ~late) if late.any() else batch.columns


def numbered(time_us: NDArray[np.int64], tick_us: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ticks that N events are in, and for each event the number of its tick among them.

    Returns
    -------
    (T,) int64 rising, at most about twice as many as there are events; (N,) int64.

    Examples
    --------
    >>> [found.tolist() for found in numbered(np.array([35, 12, 31]), 10)]
    [[1, 2, 3], [2, 0, 2]]
    >>> [found.tolist() for found in numbered(np.array([10**15, 12]), 10)]
    [[1, 100000000000000], [1, 0]]
    """
    tick = time_us // tick_us
    if not len(tick):
        return tick, tick
    first, last = int(tick.min()), int(tick.max())
    if last - first < 2 * len(tick):
        return np.arange(first, last + 1), tick - first
    ticks, number = np.unique(tick, return_inverse=True)
    return ticks, number.astype(np.int64)
