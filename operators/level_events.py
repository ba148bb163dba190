"""Batches to the events that the hierarchy counts: where, when, whose, and the metrics; for each block of space."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import morton
from kernels.grid import Grid
from kernels.hashing import mix64
from kernels.metric import Metric
from kernels.schema import Columns
from operators.batch import Batch, take
from operators.watermarks import Told, tell

__all__ = ["BLOCK_LEVEL", "LevelEvents", "event_dtype"]

BLOCK_LEVEL = 3
"""Levels up to this one are worked out where the events are; a region of it, 8 x 8 x 8 cells, is never divided."""


def event_dtype(metrics: Sequence[Metric]) -> np.dtype[np.void]:
    """Return the type of an event's row: its metrics are the fields of the array `values`."""
    known = [("time_us", "<i8"), ("code", "<i8"), ("agent_id", "<u8"), ("level", "u1")]
    return np.dtype([*known, ("values", "<f4", (len(metrics),))])


class LevelEvents:
    """The step `batch -> (block, rows)`.

    Parameters
    ----------
    grid, metrics
        The cells, and what is summed in them.
    tick_us, lateness_us
        Length of a tick, and how far behind its partition an event may be.
    shards
        Over which the blocks of space are dealt, by a hash.
    """

    def __init__(
        self, grid: Grid, metrics: Sequence[Metric], *, tick_us: int, lateness_us: int, shards: int
    ) -> None:
        self._grid, self._metrics, self._dtype = grid, metrics, event_dtype(metrics)
        self._tick_us, self._lateness_us, self._shards = tick_us, lateness_us, shards

    def __call__(self, batch: Batch) -> Iterator[tuple[str, Told]]:
        """Yield what `batch` tells each shard."""
        columns = batch.columns
        if batch.behind_us is not None:
            columns = take(columns, batch.behind_us <= self._lateness_us)
        parts: list[dict[str, NDArray[Any]]] = [{} for _ in range(self._shards)]
        if len(columns.get("agent_id", ())):
            rows = self._rows(columns)
            block = rows["code"].astype(np.uint64) >> np.uint64(3 * BLOCK_LEVEL)
            shard = (mix64(block) % np.uint64(self._shards)).astype(np.int64)
            for number in np.unique(shard).tolist():
                own = rows[shard == number]
                parts[number] = {"rows": own.view(np.uint8)}
        yield from tell(batch, parts, tick_us=self._tick_us, lateness_us=self._lateness_us)

    def _rows(self, columns: Columns) -> NDArray[np.void]:
        rows = np.empty(len(columns["agent_id"]), self._dtype)
        rows["time_us"], rows["agent_id"] = columns["time_us"], columns["agent_id"]
        rows["level"] = columns.get("level", 0)
        cells = self._grid.cells(columns["x_m"], columns["y_m"], columns["z_m"])
        rows["code"] = morton.encode(*self._grid.unravel(cells))
        for number, metric in enumerate(self._metrics):
            rows["values"][:, number] = columns.get(metric.name, np.nan)
        return rows
