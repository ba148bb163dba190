"""Batches to the last event of each agent in each tick: all that the population needs to know of them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kernels.agent_rows import Rows
from kernels.grid import Grid
from kernels.schema import Columns
from kernels.sessions import by_agent, shard_bounds
from operators.batch import Batch, take
from operators.watermarks import Told, tell

__all__ = ["LastEvents"]


class LastEvents:
    """The step `batch -> (owner, rows)`.

    Parameters
    ----------
    grid
        The cells.
    dtype
        Of the rows.
    tick_us, lateness_us
        Length of a tick, and how far behind its partition an event may be.
    owners
        Number of owners; each is a range of mix64(agent_id).
    """

    def __init__(
        self, grid: Grid, dtype: np.dtype[np.void], *, tick_us: int, lateness_us: int, owners: int
    ) -> None:
        self._grid, self._dtype = grid, dtype
        self._tick_us, self._lateness_us, self._owners = tick_us, lateness_us, owners

    def __call__(self, batch: Batch) -> Iterator[tuple[str, Told]]:
        """Yield what `batch` tells each owner."""
        columns = batch.columns
        if batch.behind_us is not None:
            columns = take(columns, batch.behind_us <= self._lateness_us)
        parts: Sequence[Columns] = [{}] * self._owners
        if len(columns.get("agent_id", ())):
            last, hashes = _last(columns, self._tick_us)
            rows = self._rows(take(columns, last), batch.partition)
            cuts = pairwise(shard_bounds(hashes, self._owners))
            parts = [{"rows": rows[a:b].view(np.uint8)} if b > a else {} for a, b in cuts]
        yield from tell(batch, parts, tick_us=self._tick_us, lateness_us=self._lateness_us)

    def _rows(self, columns: Columns, partition: int) -> Rows:
        rows = np.zeros(len(columns["agent_id"]), self._dtype)
        for name in self._dtype.names or ():
            if name in columns:
                rows[name] = columns[name]
            elif self._dtype[name].kind == "f":
                rows[name] = np.nan
        rows["cell"] = self._grid.cells(columns["x_m"], columns["y_m"], columns["z_m"])
        rows["partition"] = partition
        return rows


def _last(columns: Columns, tick_us: int) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Return the rows that are the last of their agent in a tick, by agent's hash, and the hashes.

    Of events at one time the greatest `seq` is the last, and then the one that came last.
    """
    time_us = columns["time_us"]
    rows, hashes = by_agent(columns["agent_id"], time_us)
    same = hashes[1:] == hashes[:-1]
    times = time_us[rows]
    if bool((same & (times[1:] == times[:-1])).any()):
        seq = columns.get("seq", np.zeros(len(rows), np.uint32))[rows]
        order = np.lexsort((rows, seq, times, hashes))
        rows, times = rows[order], times[order]
    ticks = times // tick_us
    last = np.append(~same | (ticks[1:] != ticks[:-1]), True)
    return rows[last], hashes[last]
