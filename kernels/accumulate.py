"""Events added in place to blocks that stand: for batches with fewer events than the blocks have groups.

`aggregate.reduce` makes new blocks and passes over every group; this one only touches those that the events are in. The
integers are the same, bit for bit, up to the carry between the limbs of a sum of squares.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import Layout, checked
from kernels.group import Index
from kernels.metric import Metric
from kernels.statistics import split_limbs

__all__ = ["accumulate"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

# Long, as a block is larger than the second-level cache: each of its rows is brought there once for many events.
_CHUNK = 65_536
_ROUND = (
    1.5 * 2.0**52
)  # added to a float64 it rounds to an integer, ties to even, in the low bits of the result
_ROUND_BITS = np.float64(_ROUND).view(np.int64)


def accumulate(ints: Ints, floats: Floats, index: Index, values: Sequence[Floats], layout: Layout) -> None:
    """Add N events to the blocks (I, K) and (F, K), in place.

    Parameters
    ----------
    ints, floats
        Blocks of `layout`; may hold events.
    index, values
        As for `aggregate.reduce`; N at most MAX_BATCH_EVENTS.

    Examples
    --------
    >>> layout = Layout((Metric("v", 0.5, 0, 9),), square=(True,), extrema=(True,))
    >>> ints, floats = layout.empty(2)
    >>> accumulate(ints, floats, np.array([1, 1, 0]), [np.array([1.0, 2.0, np.nan], "f4")], layout)
    >>> ints.tolist(), floats.tolist()
    ([[1, 2], [0, 2], [0, 6], [0, 20], [0, 0]], [[inf, 1.0], [-inf, 2.0]])
    """
    columns = checked(index, values, layout)
    nulls = [len(column) > 0 and bool(np.isnan(column.min())) for column in columns]
    for start in range(0, len(index), _CHUNK):
        part = slice(start, start + _CHUNK)
        where = index[part].astype(np.intp, copy=False)
        np.add.at(ints[0], where, 1)
        for m, column in enumerate(columns):
            kept = np.flatnonzero(~np.isnan(column[part])) if nulls[m] else None
            if kept is None:
                _add((ints, floats), where, column[part], m, layout)
            else:
                _add((ints, floats), where.take(kept), column[part].take(kept), m, layout)


def _add(
    blocks: tuple[Ints, Floats], where: NDArray[np.intp], column: Floats, m: int, layout: Layout
) -> None:
    """Add values of one metric, none of them null."""
    ints, floats = blocks
    steps = _steps(column, layout.metrics[m])
    np.add.at(ints[layout.n(m)], where, 1)
    np.add.at(ints[layout.sum(m)], where, steps)
    if layout.square[m]:
        steps *= steps
        for row, limb in zip((layout.lo(m), layout.hi(m)), split_limbs(steps), strict=True):
            np.add.at(ints[row], where, limb)
    if layout.extrema[m]:
        column = column + np.float32(0.0)  # no -0.0
        np.minimum.at(floats[layout.min(m)], where, column)
        np.maximum.at(floats[layout.max(m)], where, column)


def _steps(column: Floats, metric: Metric) -> Ints:
    """Return `metric.quantise` of values without nulls, in three passes."""
    rounded = column.astype(np.float64)
    rounded *= metric.scale
    rounded += _ROUND
    steps = rounded.view(np.int64)
    steps -= _ROUND_BITS
    return steps
