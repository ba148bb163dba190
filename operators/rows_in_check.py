"""Rows on their way through the checks of a source partition: what cannot be an event goes to the dead letters, whole.

future         later than the record's broker time, by more than is believed
time_range     before 1684 or after 2255
position       outside the world, or none
level          not 0 to 6
metric_range   infinite, or outside the declared range
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.frame import FRAME_TYPE, encode_frame
from kernels.grid import Grid
from kernels.lateness import Extremes
from kernels.metric import Metric
from kernels.schema import MAX_LEVEL, Columns
from operators.batch import DeadLetter, Origin, Tally, length, take

__all__ = ["Rows", "validate"]

_TIME_LIMIT_US = 2**53  # 1684 to 2255: (pane, cell) pairs must fit 62 bits


@dataclass(slots=True)
class Rows:
    """Rows under way through the checks: what is left, where it stood in the record, and what was taken out."""

    columns: Columns
    origin: Origin
    tally: Tally
    outputs: list[Any]
    index: NDArray[np.int64] | None = None  # None: all that came

    def __len__(self) -> int:
        return length(self.columns)

    def take_out(self, mask: NDArray[np.bool_]) -> tuple[Columns, NDArray[np.int64], NDArray[np.int64]]:
        """Remove the rows under `mask`; return their columns, offsets and row numbers."""
        gone = take(self.columns, mask)
        index = np.arange(len(mask)) if self.index is None else self.index
        offset, row = self.origin.locate(index[mask])
        self.columns, self.index = take(self.columns, ~mask), index[~mask]
        return gone, offset, row

    def bury(self, mask: NDArray[np.bool_] | None, reason: str) -> None:
        """Send the rows under `mask` to the dead letters, each as a frame of its own."""
        if mask is None or not mask.any():
            return
        gone, offset, row = self.take_out(mask)
        self.tally.dead_letters += len(offset)
        for i in range(len(offset)):
            value = encode_frame({name: values[i : i + 1] for name, values in gone.items()})
            self.outputs.append(
                DeadLetter(
                    self.origin.topic, self.origin.partition, int(offset[i]), int(row[i]), value, FRAME_TYPE,
                    "ingest", reason, _describe(gone, i),
                )
            )  # fmt: skip


def validate(
    rows: Rows,
    times: Extremes,
    grid: Grid,
    metrics: Sequence[Metric],
    *,
    broker_us: NDArray[np.int64] | None,
    future_us: int | None,
) -> None:
    """Bury the rows that cannot be events, whatever came before them.

    Parameters
    ----------
    rows, times
        All that came, one or more, and their extremes.
    grid, metrics
        The world and the metrics' ranges.
    broker_us
        (N,) the broker's time of each row's record; None: not known.
    future_us
        Furthest believed time after it; None: any.
    """
    time_us = rows.columns["time_us"]
    if future_us is not None and broker_us is not None:
        rows.bury(time_us - broker_us > future_us, "future")
        time_us = rows.columns["time_us"]
    if _exceeds(times):
        rows.bury((time_us > _TIME_LIMIT_US) | (time_us < -_TIME_LIMIT_US), "time_range")
    inside = grid.inside(*(rows.columns[axis] for axis in ("x_m", "y_m", "z_m")))
    rows.bury(None if inside is None else ~inside, "position")
    if "level" in rows.columns:
        rows.bury(rows.columns["level"] > MAX_LEVEL, "level")
    for metric in metrics:
        if metric.name in rows.columns:
            rows.bury(metric.out_of_range(rows.columns[metric.name]), "metric_range")


def _exceeds(times: Extremes) -> bool:
    return int(times.high_us.max()) > _TIME_LIMIT_US or int(times.low_us.min()) < -_TIME_LIMIT_US


def _describe(columns: Columns, row: int) -> str:
    return " ".join(f"{name}={values[row]}" for name, values in columns.items())
