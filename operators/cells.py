"""Results of a flow: one row per (window, cell), as columns, in the units of the metrics."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import Layout
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.panes import Window
from kernels.statistics import finalise, total
from operators.window import Closed

__all__ = ["AGGREGATES", "Cells", "CellsConfig", "cell_columns", "layout_for", "metric_columns", "to_cells"]

AGGREGATES = ("count", "agents", "sum", "mean", "min", "max", "var")
"""What a window can ask for."""


@dataclass(frozen=True, slots=True)
class CellsConfig:
    """How statistics become columns.

    Parameters
    ----------
    grid, layout
        The cells and the rows of the statistics.
    windows
        By name.
    aggregates
        What each window publishes, by name; the rest is null there.
    """

    grid: Grid
    layout: Layout
    windows: dict[str, Window]
    aggregates: dict[str, frozenset[str]]


@dataclass(slots=True)
class Cells:
    """R result rows of one shard.

    Parameters
    ----------
    shard
        The shard they come from.
    columns
        (R,) arrays, see `cell_columns`; `window` is a number into `windows`.
    windows
        Names.
    trace
        The W3C traceparent of the span that they come from, if it is traced.
    """

    shard: int
    columns: dict[str, NDArray[Any]]
    windows: Sequence[str]
    trace: str = ""

    def __len__(self) -> int:
        return len(self.columns["count"])


def cell_columns(layout: Layout) -> dict[str, np.dtype[Any]]:
    """Return the names and types of the exact columns, in the order in which they are published and hashed."""
    exact = {
        "window": "i2",
        "start_us": "i8",
        "end_us": "i8",
        "cx": "i4",
        "cy": "i4",
        "cz": "i4",
        "count": "i8",
    }
    exact["agents"] = "i8"
    for metric in layout.metrics:
        exact[f"{metric.name}_count"] = "i8"
        exact |= {f"{metric.name}_{a}": "f8" for a in ("sum", "mean", "min", "max", "var")}
    return {name: np.dtype(code) for name, code in exact.items()}


def to_cells(closed: Closed, config: CellsConfig) -> Cells:
    """Turn the exact statistics of closed windows into result columns.

    Aggregates that the window did not ask for are NaN, `agents` -1.
    """
    window, rows = config.windows[closed.window], len(closed.rank)
    asked = config.aggregates[closed.window]
    cx, cy, cz = config.grid.unravel(config.grid.morton_order[closed.rank])
    columns: dict[str, NDArray[Any]] = {
        "window": np.full(rows, list(config.windows).index(closed.window), np.int16),
        "start_us": closed.start_us,
        "end_us": closed.start_us + window.length_us,
        "cx": cx, "cy": cy, "cz": cz,
        "count": closed.ints[0],
        "agents": np.full(rows, -1, np.int64) if closed.agents is None or "agents" not in asked else closed.agents,
    }  # fmt: skip
    for number, metric in enumerate(config.layout.metrics):
        found = metric_columns(closed.ints, closed.floats, config.layout, number)
        for name, values in found.items():
            keep = name == "count" or name in asked
            columns[f"{metric.name}_{name}"] = values if keep else np.full(rows, np.nan)
    columns["score"] = np.full(rows, np.nan, np.float32)
    columns["revision"] = closed.revision
    if closed.merged is not None:
        columns["merged"] = closed.merged
    return Cells(closed.shard, columns, list(config.windows), closed.trace)


def layout_for(metrics: tuple[Metric, ...], aggregates: Collection[str]) -> Layout:
    """Return the layout of what the aggregates need."""
    square, extrema = "var" in aggregates, bool({"min", "max"} & set(aggregates))
    return Layout(metrics, (square,) * len(metrics), (extrema,) * len(metrics))


def metric_columns(
    ints: NDArray[np.int64], floats: NDArray[np.float32], layout: Layout, number: int
) -> dict[str, NDArray[Any]]:
    """Return the statistics of one metric as columns; NaN where it has no value."""
    scale = layout.metrics[number].scale
    n, s = ints[layout.n(number)], ints[layout.sum(number)]
    square = layout.square[number]
    lo, hi = (ints[layout.lo(number)], ints[layout.hi(number)]) if square else (None, None)
    mean, var = finalise(n, s, lo, hi, scale)
    none = np.full(len(n), np.nan)
    low = high = none
    if layout.extrema[number]:
        empty = n == 0
        low = np.where(empty, np.nan, floats[layout.min(number)].astype(np.float64))
        high = np.where(empty, np.nan, floats[layout.max(number)].astype(np.float64))
    return {
        "count": n,
        "sum": total(s, scale),
        "mean": mean,
        "min": low,
        "max": high,
        "var": none if var is None else var,
    }
