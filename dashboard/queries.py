"""What can be asked of a view, and the answers as Arrow tables.

A question is put to every worker and its answers are put together, so each has two halves: what one view finds, and
how what several have found is put in order and cut again.
"""

from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dashboard.agents import FIELDS
from dashboard.view import View

__all__ = ["AgentsQuery", "AlertsQuery", "CellsQuery", "HistoryQuery", "Query", "answer", "cut", "merge"]

Box = Annotated[list[float], Field(min_length=4, max_length=6)]
Point = Annotated[list[float], Field(min_length=2, max_length=3)]
_Limit = Annotated[int, Field(ge=1, le=1_000_000)]


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    deadline_ms: Annotated[int, Field(ge=1, le=60_000)] = 1_000
    """What has answered by then is what there is."""
    max_bytes: Annotated[int, Field(ge=1_024, le=2**30)] = 16 * 2**20
    """The answer is cut to so many bytes."""
    limit: _Limit = 10_000


class AgentsQuery(_Question):
    """The latest state of agents: by id, in a box, within a radius, or the k nearest to a point."""

    kind: Literal["agents"] = "agents"
    id: tuple[int, ...] = ()
    box: Box | None = None
    """x0, y0, x1, y1 in metres, or x0, y0, z0, x1, y1, z1."""
    near: Point | None = None
    radius_m: Annotated[float, Field(gt=0)] | None = None
    k: _Limit | None = None
    level: Annotated[int, Field(ge=0, le=6)] | None = None
    top: Literal["score", "speed_mps", "energy"] | None = None
    """The highest first."""


class CellsQuery(_Question):
    """The cells of a window: all, in a region, or those where a metric or the score is highest."""

    kind: Literal["cells"] = "cells"
    window: str
    start_us: int | None = None
    """The window that starts there; without it the newest that is whole."""
    starts: Annotated[int, Field(ge=1, le=600)] = 1
    """How many of the newest windows, for a history."""
    cells: Annotated[list[int], Field(min_length=4, max_length=6)] | None = None
    """cx0, cy0, cx1, cy1, or with z: both ends are part of it."""
    top: str | None = None
    """A column; its highest values first."""


class AlertsQuery(_Question):
    """The newest alerts, the newest first."""

    kind: Literal["alerts"] = "alerts"
    agent_id: int | None = None


class HistoryQuery(_Question):
    """Where an agent was, the oldest first."""

    kind: Literal["history"] = "history"
    id: int


Query = Annotated[AgentsQuery | CellsQuery | AlertsQuery | HistoryQuery, Field(discriminator="kind")]


def answer(view: View, query: AgentsQuery | CellsQuery | AlertsQuery | HistoryQuery) -> pa.Table:
    """Return what one view knows."""
    if isinstance(query, AgentsQuery):
        found = _agents(view, query)
    elif isinstance(query, CellsQuery):
        found = _cells(view, query)
    elif isinstance(query, AlertsQuery):
        found = _alerts(view, query)
    else:
        found = pa.table(view.history.of(query.id))
    return merge(query, [found])


def merge(query: AgentsQuery | CellsQuery | AlertsQuery | HistoryQuery, tables: list[pa.Table]) -> pa.Table:
    """Return the answers of several views as one: in the order that was asked for, cut to what was asked for."""
    table = pa.concat_tables(tables, promote_options="default")
    if isinstance(query, CellsQuery) and query.start_us is None and query.starts == 1 and table.num_rows:
        table = table.filter(pc.equal(table["start_us"], pc.max(table["start_us"])))
    keys = [(name, order) for name, order in _order(query) if name in table.column_names]
    if keys and table.num_rows:
        table = table.take(pc.sort_indices(table, sort_keys=keys))
    limit = query.limit
    if isinstance(query, AgentsQuery) and query.k is not None:
        limit = min(limit, query.k)
    return table.slice(0, limit)


def cut(table: pa.Table, max_bytes: int) -> pa.Table:
    """Return as many of the first rows as fit.

    >>> cut(pa.table({"x": [1, 2, 3, 4]}), 16).num_rows
    2
    """
    if table.nbytes <= max_bytes:
        return table
    return table.slice(0, int(table.num_rows * max_bytes / table.nbytes))


def _order(query: AgentsQuery | CellsQuery | AlertsQuery | HistoryQuery) -> list[tuple[str, str]]:
    if isinstance(query, AgentsQuery):
        if query.near is not None:
            return [("distance_m", "ascending"), ("agent_id", "ascending")]
        return [*([(query.top, "descending")] if query.top else []), ("agent_id", "ascending")]
    if isinstance(query, CellsQuery):
        place = [(name, "ascending") for name in ("start_us", "cx", "cy", "cz")]
        return [*([(query.top, "descending")] if query.top else []), *place]
    return [("time_us", "ascending" if isinstance(query, HistoryQuery) else "descending")]


def _agents(view: View, query: AgentsQuery) -> pa.Table:
    columns = view.agents.alive()
    rows = np.ones(len(columns["agent_id"]), np.bool_)
    if query.id:
        rows &= np.isin(columns["agent_id"], np.array(query.id, np.uint64))
    if query.level is not None:
        rows &= columns["level"] == query.level
    if query.box is not None:
        for axis, low, high in _sides(query.box):
            rows &= (columns[axis] >= low) & (columns[axis] <= high)
    arrays = {name: columns[name] for name in FIELDS}
    if query.near is not None:
        arrays["distance_m"] = _distance_m(columns, query.near)
        if query.radius_m is not None:
            rows &= arrays["distance_m"] <= query.radius_m
        rows = _nearest(rows, arrays["distance_m"], query.k)
    elif query.top is not None:
        rows &= ~np.isnan(columns[query.top])
    index = np.flatnonzero(rows)
    table = pa.table({name: pa.array(values[index]) for name, values in arrays.items()})
    names = (
        [view.agents.names.get(agent) for agent in table["agent_id"].to_pylist()] if view.agents.names else []
    )
    return table.append_column("agent", pa.array(names or [None] * len(index), pa.string()))


def _nearest(rows: NDArray[np.bool_], distance_m: NDArray[np.float64], k: int | None) -> NDArray[np.bool_]:
    """Return the mask cut to those not further than the k-th."""
    if k is None or np.count_nonzero(rows) <= k:
        return rows
    kth_m = np.partition(distance_m[rows], k - 1)[k - 1]
    near: NDArray[np.bool_] = rows & (distance_m <= kth_m)
    return near


def _distance_m(columns: dict[str, NDArray[np.float32]], point: list[float]) -> NDArray[np.float64]:
    squares = [(columns[axis].astype(np.float64) - at) ** 2 for axis, at in zip(_AXES, point, strict=False)]
    distance: NDArray[np.float64] = np.sqrt(sum(squares))
    return distance


_AXES = ("x_m", "y_m", "z_m")


def _sides(box: list[float]) -> list[tuple[str, float, float]]:
    half = len(box) // 2
    return list(zip(_AXES, box[:half], box[half:], strict=False))


def _cells(view: View, query: CellsQuery) -> pa.Table:
    starts = [query.start_us] if query.start_us is not None else _newest(view, query)
    found = [view.windows.cells(query.window, start_us) for start_us in starts]
    tables = [table for table in found if table is not None]
    if not tables:
        return pa.table({"window": pa.array([], pa.string()), "start_us": pa.array([], pa.int64())})
    table = pa.concat_tables(tables, promote_options="default")
    at = table.column_names.index("window")  # not the first where the cells came from a topic
    table = table.set_column(at, "window", table["window"].cast(pa.string()))
    if query.cells is not None:
        half = len(query.cells) // 2
        for axis, low, high in zip(("cx", "cy", "cz"), query.cells[:half], query.cells[half:], strict=False):
            table = table.filter(
                pc.and_(pc.greater_equal(table[axis], low), pc.less_equal(table[axis], high))
            )
    if query.top is not None and query.top in table.column_names:
        table = table.filter(pc.is_finite(table[query.top].cast(pa.float64())))
    return table


def _newest(view: View, query: CellsQuery) -> list[int]:
    latest = view.windows.latest(query.window)
    starts = [
        start_us
        for start_us in view.windows.starts(query.window)
        if latest is not None and start_us <= latest
    ]
    return starts[-query.starts :]


def _alerts(view: View, query: AlertsQuery) -> pa.Table:
    wanted = [a for a in view.alerts if query.agent_id in (None, a["agent_id"])]
    rows = [{name: value for name, value in alert.items() if name != "key"} for alert in wanted]
    return pa.Table.from_pylist(rows) if rows else pa.table({"time_us": pa.array([], pa.int64())})
