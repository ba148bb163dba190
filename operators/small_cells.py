"""Cells of few agents, merged with their neighbours: those of a block of 2 x 2 x 2 cells become one row.

The row has the place of the first of them, and says for how many cells it stands. A block lies in one shard
(`kernels.shards.ShardMap.aligned`), so what is merged depends on the events alone.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.table import Table, distinct_pairs
from operators.members import Members

__all__ = ["Small", "merge_small"]


class Small(NamedTuple):
    """Cells of fewer than `k` agents are merged within their blocks: (C,) the block of each rank."""

    k: int
    block_of_rank: NDArray[np.int32]


def merge_small(
    table: Table, members: Members, cells: int, small: Small
) -> tuple[Table, NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of windows with the small ones merged, their distinct agents, and how many cells each stands for.

    Parameters
    ----------
    table
        Keyed by `window * cells + rank`, sorted, each key once.
    members
        The agents of its cells.
    cells
        Number of ranks.
    small
        Which are merged, and with which.
    """
    agents = members.count(table.key)
    few = np.flatnonzero(agents < small.k)
    if not len(few):
        return table, agents, np.ones(len(agents), np.int64)
    key = table.key.take(few)
    number, rank = np.divmod(key, cells)
    block = number * cells + small.block_of_rank.take(rank)
    starts = np.flatnonzero(np.diff(block, prepend=block[0] - 1))
    merged = Table(key.take(starts), *_added(table.at(few), starts))
    kept = np.flatnonzero(agents >= small.k)
    large = table.at(kept)
    whole = Table(
        np.concatenate((large.key, merged.key)),
        np.concatenate((large.ints, merged.ints), axis=1),
        np.concatenate((large.floats, merged.floats), axis=1),
    )
    order = np.argsort(whole.key)
    counts = np.concatenate((agents.take(kept), _distinct(members, key, starts)))
    stands_for = np.concatenate((np.ones(len(kept), np.int64), np.diff(starts, append=len(few))))
    return whole.at(order), counts.take(order), stands_for.take(order)


def _added(table: Table, starts: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the statistics of runs of rows that begin at `starts`, added up."""
    floats = np.empty((len(table.floats), len(starts)), np.float32)
    np.minimum.reduceat(table.floats[::2], starts, axis=1, out=floats[::2])
    np.maximum.reduceat(table.floats[1::2], starts, axis=1, out=floats[1::2])
    return np.add.reduceat(table.ints, starts, axis=1), floats


def _distinct(members: Members, key: NDArray[np.int64], starts: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the distinct agents of each run of keys."""
    at, agent_id = members.of(key)
    run = np.searchsorted(starts, at, side="right") - 1
    return np.bincount(distinct_pairs(run, agent_id)[0], minlength=len(starts)).astype(np.int64)
