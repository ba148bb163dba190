"""Two tables of results against each other: the digests of the windows that both have closed, and the first difference."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kernels.errors import AuraError
from kernels.lateness import END_US, START_US
from operators.results import digests

__all__ = ["NOT_EXACT", "Closed", "Comparison", "Difference", "Results", "compare"]

Closed = Mapping[str, tuple[int, int]]
"""By the name of a window: from which start and up to which end its results are complete."""

_KEY = ("window", "start_us", "cx", "cy", "cz")
NOT_EXACT = ("score", "model", "revision", "shard")
"""Columns that may differ between equal results."""


class Results(NamedTuple):
    """A table of cells, last revisions only, and which of its windows are complete: those not named are, all of them."""

    cells: pa.Table
    closed: Closed


class Difference(NamedTuple):
    """The first cell whose rows differ, and both rows; None where there is none."""

    window: str
    start_us: int
    cell: tuple[int, int, int]
    live: dict[str, Any] | None
    replay: dict[str, Any] | None


class Comparison(NamedTuple):
    """What came of a comparison.

    Attributes
    ----------
    windows
        (window, start) pairs that were compared.
    left_out
        Rows of each side in windows that are not closed in both.
    digests
        Of the windows compared.
    differing
        Windows that differ.
    first
        Where they begin to; None if they do not.
    """

    windows: int
    left_out: tuple[int, int]
    digests: tuple[str, str]
    differing: int
    first: Difference | None


def compare(live: Results, replay: Results) -> Comparison:
    """Compare the exact columns of two sets of results.

    Raises
    ------
    AuraError
        They have other columns: they come from different configurations.
    """
    sides = _comparable(live.cells), _comparable(replay.cells)
    names = set(pc.unique(sides[0]["window"]).to_pylist()) | set(pc.unique(sides[1]["window"]).to_pylist())
    closed = {name: _in_both(name, live.closed, replay.closed) for name in names}
    kept = _closed(sides[0], closed), _closed(sides[1], closed)
    columns = _columns(*kept)
    first, second = (digests(table.select([*columns, "score", "model"]))[0] for table in kept)
    left_out = (sides[0].num_rows - kept[0].num_rows, sides[1].num_rows - kept[1].num_rows)
    windows = len(set().union(*map(_windows, kept)))
    differing, difference = _differences(*kept, columns) if first != second else (0, None)
    return Comparison(windows, left_out, (first, second), differing, difference)


def _comparable(cells: pa.Table) -> pa.Table:
    """Return the table with its texts as such, and with the columns that every digest asks for."""
    for name, kind in (("score", pa.float32()), ("model", pa.string())):
        if name not in cells.column_names:
            cells = cells.append_column(name, pa.nulls(len(cells), kind))
    for name in ("window", "model"):
        cells = cells.set_column(cells.column_names.index(name), name, cells[name].cast(pa.string()))
    return cells


def _in_both(name: str, live: Closed, replay: Closed) -> tuple[int, int]:
    first, second = (closed.get(name, (START_US, END_US)) for closed in (live, replay))
    return max(first[0], second[0]), min(first[1], second[1])


def _closed(cells: pa.Table, closed: Closed) -> pa.Table:
    names = list(closed)
    number = pc.index_in(cells["window"], pa.array(names, pa.string()))
    low, high = (pa.array([span[i] for span in closed.values()], pa.int64()).take(number) for i in (0, 1))
    inside = pc.and_(pc.greater_equal(cells["start_us"], low), pc.less_equal(cells["end_us"], high))
    return cells.filter(inside)


def _windows(cells: pa.Table) -> set[tuple[str, int]]:
    """Return the windows of a table. By numpy: what was decoded from records is not aligned as Arrow's joins want it."""
    encoded = cells["window"].combine_chunks().dictionary_encode()
    pairs = np.stack([encoded.indices.to_numpy().astype(np.int64), cells["start_us"].to_numpy()])
    names = encoded.dictionary.to_pylist()
    return {(names[number], start_us) for number, start_us in np.unique(pairs, axis=1).T.tolist()}


def _columns(live: pa.Table, replay: pa.Table) -> list[str]:
    """Return the exact columns, in the order in which the first table has them."""
    first, second = ([n for n in table.column_names if n not in NOT_EXACT] for table in (live, replay))
    if set(first) != set(second):
        here, there = set(first) - set(second), set(second) - set(first)
        raise AuraError(
            f"the columns differ: only the first has {sorted(here)}, only the second {sorted(there)}",
            "Compare runs of one configuration",
        )
    return first


def _differences(live: pa.Table, replay: pa.Table, columns: list[str]) -> tuple[int, Difference | None]:
    """Return how many windows differ, and where they begin to."""
    both = pa.concat_tables([live.select(columns), replay.select(columns)])
    texts = pa.array(sorted(set(both["window"].to_pylist()), key=str.encode), pa.string())
    values = {name: both[name].to_numpy() for name in columns}
    values["window"] = pc.index_in(both["window"], texts).to_numpy()
    side = np.repeat([0, 1], [live.num_rows, replay.num_rows])
    order = np.lexsort([side, *(values[name] for name in reversed(_KEY))])
    same_cell = _equal_to_next(values, _KEY, order)
    equal = same_cell & _equal_to_next(values, columns, order)
    alike = np.zeros(len(order), np.bool_)
    alike[:-1] |= equal
    alike[1:] |= equal
    bad = np.flatnonzero(~alike)
    if not len(bad):
        return 0, None
    windows = np.unique(np.stack([values[name][order[bad]] for name in _KEY[:2]]), axis=1)
    at = int(bad[0])
    rows: list[dict[str, Any] | None] = [None, None]
    for i in order[at : at + 2] if at < len(same_cell) and same_cell[at] else order[at : at + 1]:
        table = replay if side[i] else live
        rows[side[i]] = table.slice(int(i) - (live.num_rows if side[i] else 0), 1).to_pylist()[0]
    named = rows[0] or rows[1] or {}
    cell = (named["cx"], named["cy"], named["cz"])
    return windows.shape[1], Difference(named["window"], named["start_us"], cell, *rows)


def _equal_to_next(
    values: Mapping[str, NDArray[Any]], names: Any, order: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Return (K - 1,) whether rows agree with the next one; NaN is NaN here."""
    equal = np.ones(max(len(order) - 1, 0), np.bool_)
    for name in names:
        sorted_ = values[name][order]
        same = sorted_[1:] == sorted_[:-1]
        if sorted_.dtype.kind == "f":
            same |= np.isnan(sorted_[1:]) & np.isnan(sorted_[:-1])
        equal &= same
    return equal
