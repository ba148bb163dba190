"""Closing windows: the panes of each added up, as rows of results."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.panes import Window
from kernels.table import Table, spread
from operators.members import Members
from operators.pane_store import PaneStore
from operators.small_cells import Small, merge_small

__all__ = ["Closed", "Sums", "close", "last_start", "revisions_of"]


class Closed(NamedTuple):
    """K rows of closed windows of one shard, all of one configured window.

    Attributes
    ----------
    window
        Its name.
    start_us, rank
        (K,) int64 start and cell of each row.
    agents
        (K,) int64 distinct agents, or None if not asked for.
    ints, floats
        (I, K), (F, K) exact statistics.
    revision
        (K,) int32.
    trace
        The W3C traceparent of the span that closed them, if that is traced.
    merged
        (K,) int64 how many cells a row stands for, or None if each stands for one.
    """

    shard: int
    window: str
    start_us: NDArray[np.int64]
    rank: NDArray[np.int64]
    agents: NDArray[np.int64] | None
    ints: NDArray[np.int64]
    floats: NDArray[np.float32]
    revision: NDArray[np.int32]
    trace: str = ""
    merged: NDArray[np.int64] | None = None


class Sums(NamedTuple):
    """K rows of closed windows: (K,) starts, (K,) ranks, (K,) distinct agents or None, the exact statistics, (K,) cells."""

    start_us: NDArray[np.int64]
    rank: NDArray[np.int64]
    agents: NDArray[np.int64] | None
    ints: NDArray[np.int64]
    floats: NDArray[np.float32]
    merged: NDArray[np.int64] | None = None


def last_start(window: Window, watermark_us: int) -> int:
    """Return the start of the last window that is closed at `watermark_us`."""
    return (watermark_us - window.lateness_us - window.length_us) // window.slide_us * window.slide_us


def close(
    store: PaneStore, window: Window, first_us: int, last_us: int, *, cells: int, small: Small | None = None
) -> Iterator[Sums]:
    """Yield the windows that start at first_us to last_us and hold events; with `small` their small cells merged."""
    if last_us < first_us:
        return
    panes, slide = window.length_us // window.pane_us, window.slide_us // window.pane_us
    low, high = first_us // window.pane_us, (last_us + window.length_us) // window.pane_us
    table = spread(store.table(low, high), cells=cells, panes=panes, slide_panes=slide)
    table = _within(table, first_us // window.slide_us, last_us // window.slide_us, cells)
    members = Members(store, window, low, high, cells) if window.agents else None
    starts = {
        s for pane in store.blocks.panes(low, high) for s in window.starts(pane) if first_us <= s <= last_us
    }
    for start_us in sorted(starts):
        found, table = _of_blocks(store, window, start_us, table, cells)
        key = found.key + start_us // window.slide_us * cells
        yield _sums(found._replace(key=key), members, window, cells, small)
    if len(table.key):
        yield _sums(table, members, window, cells, small)


def _sums(table: Table, members: Members | None, window: Window, cells: int, small: Small | None) -> Sums:
    """Return the rows of a table by `window * cells + rank`, sorted by that."""
    agents, merged = None if members is None else members.count(table.key), None
    if members is not None and small is not None:
        table, agents, merged = merge_small(table, members, cells, small)
    number, rank = np.divmod(table.key, cells)
    return Sums(number * window.slide_us, rank, agents, table.ints, table.floats, merged)


def _of_blocks(
    store: PaneStore, window: Window, start_us: int, table: Table, cells: int
) -> tuple[Table, Table]:
    """Return the rows of a window that has blocks, by rank, and `table` without the rows that went into them."""
    panes, number = window.panes(start_us), start_us // window.slide_us
    total = store.blocks.total(panes.start, panes.stop)
    listed = table.between(number * cells, (number + 1) * cells)
    if len(listed.key):
        total = total.copy()
        total.add_table(listed, cells)
        table = _without(table, listed)
    return total.touched(), table


def revisions_of(start_us: NDArray[np.int64], revisions: Mapping[int, int]) -> NDArray[np.int32]:
    """Return the revision of each row, given those above 0 by the start of their window."""
    found = np.zeros(len(start_us), np.int32)
    for start, number in revisions.items():
        found[start_us == start] = number
    return found


def _within(table: Table, first: int, last: int, cells: int) -> Table:
    """Return the rows of windows first to last of a sorted table."""
    if not len(table.key):
        return table
    low, high = int(table.key[0]) // cells, int(table.key[-1]) // cells
    return table.between(max(first, low) * cells, (min(last, high) + 1) * cells)


def _without(table: Table, listed: Table) -> Table:
    """Return `table` without the rows `listed`, which stand side by side in it."""
    first = int(np.searchsorted(table.key, listed.key[0]))
    kept = np.delete(np.arange(len(table.key)), slice(first, first + len(listed.key)))
    return table.at(kept)
