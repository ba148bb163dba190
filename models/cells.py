"""Statistics of (window, cell) over a whole file at once, as the results of a flow have them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.cell_features import cell_features
from kernels.grid import Grid
from kernels.schema import Columns

__all__ = ["METRICS", "WINDOWS_S", "Cells", "cell_table"]

METRICS = ("speed_mps", "climb_mps", "energy")
WINDOWS_S = ((60, 60), (300, 60))
"""Length and slide of the windows that the model is for, s."""


class Cells(NamedTuple):
    """R rows, one a (window, cell): where each stands and what a model reads of it."""

    start_us: NDArray[np.int64]
    end_us: NDArray[np.int64]
    cell: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def features(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return (R, F) float32."""
        return np.stack([self.columns[name] for name in names], axis=1).astype(np.float32)


def cell_table(columns: Columns, grid: Grid) -> Cells:
    """Return the rows of all windows of `WINDOWS_S` that hold an event.

    Parameters
    ----------
    columns
        Canonical columns and `METRICS`, without nulls.
    """
    parts = [
        _one(columns, grid, length_s * 1_000_000, slide_s * 1_000_000) for length_s, slide_s in WINDOWS_S
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Cells(joined["start_us"], joined["end_us"], joined["cell"], joined | cell_features(joined))


def _one(columns: Columns, grid: Grid, length_us: int, slide_us: int) -> dict[str, NDArray[Any]]:
    copies = length_us // slide_us
    rows = np.tile(np.arange(len(columns["time_us"])), copies)
    start = columns["time_us"][rows] // slide_us - np.repeat(np.arange(copies), len(columns["time_us"]))
    place = start * grid.size + grid.cells(*(columns[name] for name in ("x_m", "y_m", "z_m")))[rows]
    key, group, count = np.unique(place, return_inverse=True, return_counts=True)
    start_us = key // grid.size * slide_us
    table: dict[str, NDArray[Any]] = {"start_us": start_us, "end_us": start_us + length_us}
    table |= {"cell": key % grid.size, "count": count}
    pairs = np.unique(np.stack([group.astype(np.uint64), columns["agent_id"][rows]]), axis=1)
    table["agents"] = np.bincount(pairs[0].astype(np.int64), minlength=len(key))
    for name in METRICS:
        values = columns[name][rows].astype(np.float64)
        mean = np.bincount(group, values) / count
        table[f"{name}_mean"], table[f"{name}_var"] = (
            mean,
            np.bincount(group, (values - mean[group]) ** 2) / count,
        )
    return table
