"""Tables of agents: structured rows sorted by agent, of each agent one, merged a whole batch at a time.

A row of some 54 bytes is moved at once, so a merge costs one gather and one scatter an agent and not one a column. It takes
`take`, and views of raw bytes: numpy's own indexing of structured rows goes field by field, which takes four times as long.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "agent_dtype", "by_agent", "find", "from_bytes", "join", "kept", "last_of", "without"]

Rows = NDArray[np.void]
"""(N,) structured, with a field `agent_id`."""

_KNOWN = [
    ("agent_id", "<u8"),
    ("time_us", "<i8"),
    ("seq", "<u4"),
    ("x_m", "<f4"),
    ("y_m", "<f4"),
    ("z_m", "<f4"),
    ("cell", "<i4"),
    ("partition", "<i4"),
    ("level", "u1"),
    ("role", "u1"),
]


def agent_dtype(further: Iterable[str]) -> np.dtype[np.void]:
    """Return the type of an agent's row: what every event has, and the `further` columns as float32."""
    return np.dtype([*_KNOWN, *((name, "<f4") for name in further)])


def by_agent(rows: Rows) -> Rows:
    """Return rows in the order of their agents; those of one agent keep their order."""
    ids = rows["agent_id"]
    if len(ids) < 2 or bool((ids[1:] > ids[:-1]).all()):
        return rows
    return rows.take(np.argsort(ids, kind="stable"))


def last_of(rows: Rows) -> Rows:
    """Return the last row of each agent, by (time, seq, partition) and then by the order in which they stand.

    Examples
    --------
    >>> rows = np.zeros(3, agent_dtype([]))
    >>> rows["agent_id"], rows["time_us"] = [7, 9, 7], [5, 5, 4]
    >>> last_of(rows)["time_us"].tolist()
    [5, 5]
    """
    rows = by_agent(rows)
    same = rows["agent_id"][1:] == rows["agent_id"][:-1]
    if not same.any():
        return rows
    several = np.append(same, False) | np.append(False, same)
    places = np.flatnonzero(several)
    some = rows.take(places)
    order = np.lexsort((some["partition"], some["seq"], some["time_us"], some["agent_id"]))
    rows = rows.copy()
    _put(rows, places, some.take(order))
    return kept(rows, np.append(~same, True))


def find(table: Rows, agent_id: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the (N,) places of rising agents in a table, and which of them are there."""
    known = table["agent_id"]
    if len(known) == len(agent_id) and np.array_equal(known, agent_id):
        return np.arange(len(known)), np.ones(len(known), np.bool_)
    at = np.searchsorted(known, agent_id)
    there = at < len(known)
    there[there] = known[at[there]] == agent_id[there]
    return at, there


def join(table: Rows, rows: Rows) -> Rows:
    """Return the table with `rows`, sorted and of each agent one, in place of those it has or beside them."""
    if not len(rows):
        return table
    at, there = find(table, rows["agent_id"])
    if there.all() and len(rows) == len(table):
        return rows
    found = table.copy() if there.all() else _parted(table, at[~there])
    before = np.append(0, np.cumsum(~there)[:-1])  # how many new rows stand before each
    _put(found, at + before, rows)
    return found


def without(table: Rows, agent_id: NDArray[np.uint64]) -> Rows:
    """Return the table without some agents, given rising; those that it does not have do not matter."""
    if not len(agent_id) or not len(table):
        return table
    at, there = find(table, agent_id)
    left = np.ones(len(table), np.bool_)
    left[at[there]] = False
    return kept(table, left)


def kept(rows: Rows, mask: NDArray[np.bool_]) -> Rows:
    """Return the rows under a mask."""
    return rows if mask.all() else rows.take(np.flatnonzero(mask))


def _parted(table: Rows, at: NDArray[np.intp]) -> Rows:
    """Return the table with room for a row before each of the rising places `at`."""
    found = np.empty(len(table) + len(at), table.dtype)
    taken = np.ones(len(found), np.bool_)
    taken[at + np.arange(len(at))] = False
    _put(found, np.flatnonzero(taken), table)
    return found


def _put(rows: Rows, at: NDArray[np.intp], new: Rows) -> None:
    whole = np.dtype((np.void, rows.itemsize))
    rows.view(whole)[at] = np.ascontiguousarray(new).view(whole)


def from_bytes(data: bytes, dtype: np.dtype[np.void]) -> Rows:
    """Return the table whose `tobytes` this is."""
    return np.frombuffer(data, dtype).copy()
