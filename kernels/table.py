"""Exact partial statistics of (pane, cell) pairs as columns: joined, grouped, and spread from panes to windows.

A table has K rows. `key` (K,) int64 is `pane * cells + rank`; `ints` (I, K) int64 holds what is summed, `floats` (F, K)
float32 what is extremal: even rows are minima, odd rows maxima. Joining is exact and does not depend on the order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import mix64

__all__ = ["Table", "count_of", "distinct_pairs", "join", "spread", "windows_of"]

# Then 34 bits of hash tell the members of a key apart; of more keys the lexsort is as good.
_MOST_KEY_BITS = 30


class Table(NamedTuple):
    """K rows of partial statistics; see the module."""

    key: NDArray[np.int64]
    ints: NDArray[np.int64]
    floats: NDArray[np.float32]

    @classmethod
    def empty(cls, int_rows: int, float_rows: int) -> "Table":
        """Return a table without rows."""
        return cls(
            np.empty(0, np.int64), np.empty((int_rows, 0), np.int64), np.empty((float_rows, 0), np.float32)
        )

    def at(self, rows: NDArray[np.intp] | slice) -> "Table":
        """Return the table of some rows."""
        return Table(self.key[rows], self.ints[:, rows], self.floats[:, rows])

    def between(self, low: int, high: int) -> "Table":
        """Return the rows with low <= key < high of a table that is sorted by key, as views."""
        first, last = np.searchsorted(self.key, [low, high])
        return self.at(slice(int(first), int(last)))


def join(tables: Sequence[Table]) -> Table:
    """Return one table sorted by key, each key once.

    Parameters
    ----------
    tables
        At least one; in any order, keys may repeat.

    Examples
    --------
    >>> one = Table(np.array([5, 3]), np.array([[1, 2]]), np.empty((0, 2), "f4"))
    >>> joined = join([one, one])
    >>> joined.key.tolist(), joined.ints.tolist()
    ([3, 5], [[4, 2]])
    """
    if len(tables) == 1 and _ascending(tables[0].key):
        return tables[0]
    key = np.concatenate([t.key for t in tables])
    if len(key) == 0:
        return tables[0]
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    ints = np.concatenate([t.ints for t in tables], axis=1)[:, order]
    floats = np.concatenate([t.floats for t in tables], axis=1)[:, order]
    joined = np.empty((len(floats), len(starts)), np.float32)
    for row, values in enumerate(floats):
        extreme = np.maximum if row % 2 else np.minimum
        extreme.reduceat(values, starts, out=joined[row])
    return Table(key[starts], np.add.reduceat(ints, starts, axis=1), joined)


def windows_of(
    key: NDArray[np.int64], *, cells: int, panes: int, slide_panes: int
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return each row once for every window that its pane belongs to: row numbers, and keys by window.

    Parameters
    ----------
    key
        (K,) `pane * cells + rank`.
    cells
        Number of ranks.
    panes, slide_panes
        Window k covers the panes [k * slide_panes, k * slide_panes + panes).

    Examples
    --------
    >>> rows, keys = windows_of(np.array([21]), cells=10, panes=2, slide_panes=1)
    >>> rows.tolist(), keys.tolist()
    ([0, 0], [21, 11])
    """
    pane, rank = np.divmod(key, cells)
    newest = pane // slide_panes
    rows, keys = [], []
    for back in range(-(-panes // slide_panes)):
        window = newest - back
        inside = np.flatnonzero(window * slide_panes + panes > pane)
        rows.append(inside)
        keys.append(window[inside] * cells + rank[inside])
    return np.concatenate(rows), np.concatenate(keys)


def spread(table: Table, *, cells: int, panes: int, slide_panes: int) -> Table:
    """Return the table by window instead of by pane; the parameters are those of `windows_of`."""
    if panes == slide_panes == 1 or not len(table.key):
        return table
    rows, key = windows_of(table.key, cells=cells, panes=panes, slide_panes=slide_panes)
    return join([Table(key, table.ints[:, rows], table.floats[:, rows])])


def distinct_pairs(
    key: NDArray[np.int64], member: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the distinct (key, member) pairs of (K,) arrays, sorted by key; those of a key in any order.

    One sort of 64 bits, the key above a hash of the member, where it fits: 30 ns a pair, and lexsort takes 250.
    """
    if not len(key):
        return key, member
    low = int(key.min())
    bits = (int(key.max()) - low).bit_length()
    if bits <= _MOST_KEY_BITS:
        tag = (key - low).astype(np.uint64) << np.uint64(64 - bits) if bits else np.zeros(len(key), np.uint64)
        tag |= mix64(member) >> np.uint64(bits)
        order = np.argsort(tag)
        tag, key_of, member_of = tag[order], key[order], member[order]
        again = tag[1:] == tag[:-1]  # so the key is the same, and the member unless hashes collide
        if np.array_equal(again, again & (member_of[1:] == member_of[:-1])):
            first = np.concatenate(([True], ~again))
            return key_of[first], member_of[first]
    return _distinct_by_lexsort(key, member)


def _distinct_by_lexsort(
    key: NDArray[np.int64], member: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    order = np.lexsort((member, key))
    key, member = key[order], member[order]
    first = np.ones(len(key), np.bool_)
    first[1:] = (key[1:] != key[:-1]) | (member[1:] != member[:-1])
    return key[first], member[first]


def count_of(key: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each of the sorted `wanted` keys stands in the sorted `key`."""
    return np.searchsorted(key, wanted, side="right") - np.searchsorted(key, wanted, side="left")


def _ascending(key: NDArray[np.int64]) -> bool:
    return bool((key[1:] > key[:-1]).all())
