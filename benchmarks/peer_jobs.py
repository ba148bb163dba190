"""The job of `benchmarks.peers` by each of the peers, as a user would write it well; each returns its seconds of CPU time."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window
from bytewax.testing import run_main

from benchmarks.job import SECOND_US, Counter, Job, flow_of, frames
from kernels.frame import decode_frame

__all__ = ["aura", "bytewax", "polars", "sketch", "tuned"]

_SIDE = 64
_ALIGNED = datetime(2026, 1, 1, tzinfo=UTC)


def columns(events: int) -> dict[str, np.ndarray]:
    """Return the events as columns: the frames of the job, one behind the other."""
    job = Job(events, partitions=1)
    made = [decode_frame(data).columns for data in frames(job, 0)]
    turns = [
        {**made[k % len(made)], "time_us": made[k % len(made)]["time_us"] + k * job.step_us}
        for k in range(-(-events // job.rows))
    ]
    return {name: np.concatenate([turn[name] for turn in turns])[:events] for name in turns[0]}


class _Lists(DynamicSource[Any], StatelessSourcePartition[Any]):
    """Lists of items; `made_s` is the time that making them took, which is not the engine's."""

    def __init__(self, lists: Iterable[list[Any]]) -> None:
        self._lists, self.made_s = iter(lists), 0.0

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_Lists":
        """Return itself: one worker."""
        return self

    def next_batch(self) -> list[Any]:
        """Return the next list."""
        start = time.process_time()
        try:
            return next(self._lists)
        finally:
            self.made_s += time.process_time() - start


def _events(events: int, rows: int = 4096) -> Iterator[list[tuple[int, float, float, float]]]:
    """Yield lists of (time_us, x, y, value)."""
    found = columns(events)
    for first in range(0, events, rows):
        part = (found[name][first : first + rows].tolist() for name in ("time_us", "x_m", "y_m", "m0"))
        yield list(zip(*part, strict=True))


def aura(events: int) -> float:
    """Time AURA."""
    flow, _ = flow_of(Job(events, partitions=1))  # the same frames as the others
    return _timed(lambda: run_main(flow))


def bytewax(events: int) -> float:
    """Time fold_window with an event an item."""
    source = _Lists(
        [
            (f"{int(x * _SIDE)},{int(y * _SIDE)}", (_ALIGNED + timedelta(microseconds=t), v))
            for t, x, y, v in part
        ]
        for part in _events(events)
    )
    flow, counter = Dataflow("peer"), Counter()
    stream = op.input("events", flow, source)
    clock = EventClock(lambda item: item[0], wait_for_system_duration=timedelta(seconds=0.2))
    windower = TumblingWindower(align_to=_ALIGNED, length=timedelta(seconds=1))
    folded = fold_window("fold", stream, clock, windower, lambda: (0, 0.0), _fold, _merge)
    op.output("count", op.flat_map("drop", folded.down, lambda _: ()), counter)
    return _timed(lambda: run_main(flow)) - source.made_s


def _fold(total: tuple[int, float], item: tuple[datetime, float]) -> tuple[int, float]:
    return total[0] + 1, total[1] + item[1]


def _merge(one: tuple[int, float], other: tuple[int, float]) -> tuple[int, float]:
    return one[0] + other[0], one[1] + other[1]


class _Seconds(StatefulBatchLogic[Any, Any, Any]):
    """Adds partials up by second; emits a second once the next but one has begun."""

    def __init__(self) -> None:
        self._open: dict[int, np.ndarray] = {}

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        """Add, close."""
        for second, partial in values:
            if second in self._open:
                self._open[second] += partial
            else:
                self._open[second] = partial.copy()
        newest = max(self._open)
        return [self._open.pop(s) for s in sorted(self._open) if s < newest - 1], StatefulBatchLogic.RETAIN

    def snapshot(self) -> None:
        """Return nothing: there is no recovery here."""


def _partials(times_us: Any, x: Any, y: Any, values: Any) -> list[tuple[str, Any]]:
    """Return count and sum by cell of each second."""
    second = times_us // SECOND_US
    first, size = int(second.min()), _SIDE * _SIDE
    index = (second - first) * size + (x * _SIDE).astype(np.int32) * _SIDE + (y * _SIDE).astype(np.int32)
    seconds = int(second.max()) - first + 1
    count = np.bincount(index, minlength=seconds * size).reshape(seconds, size)
    total = np.bincount(index, values, minlength=seconds * size).reshape(seconds, size)
    return [("all", (first + k, np.stack([count[k], total[k]]))) for k in range(seconds)]


def tuned(events: int) -> float:
    """Time events as items, folded with numpy a list at a time."""

    def fold(items: list[tuple[int, float, float, float]]) -> list[tuple[str, Any]]:
        array = np.array(items)
        return _partials(array[:, 0].astype(np.int64), array[:, 1], array[:, 2], array[:, 3])

    return _by_second(_events(events, rows=65_536), fold)


def sketch(events: int) -> float:
    """Time frames as items, added up with numpy a frame at a time."""
    job = Job(events, partitions=1)
    made, shift = frames(job, 0), job.step_us

    def fold(items: list[tuple[int, bytes]]) -> Iterator[tuple[str, Any]]:
        for number, data in items:
            c = decode_frame(data).columns
            yield from _sums(c["time_us"] + number * shift, c["x_m"], c["y_m"], c["m0"])

    return _by_second(([(k, made[k % len(made)])] for k in range(events // job.rows)), fold)


def _sums(times_us: Any, x: Any, y: Any, values: Any) -> list[tuple[str, Any]]:
    """Return what `_partials` does, as exact integers: twice as fast by the types and the scatter."""
    cell = (x * np.float32(_SIDE)).astype(np.int32)
    cell *= _SIDE
    cell += (y * np.float32(_SIDE)).astype(np.int32)
    first, last = int(times_us.min()) // SECOND_US, int(times_us.max()) // SECOND_US
    size = _SIDE * _SIDE
    if last > first:
        cell += ((times_us - first * SECOND_US) // SECOND_US).astype(np.int32) * size
    index, total = cell.astype(np.int64), np.zeros((2, (last - first + 1) * size), np.int64)
    np.add.at(total[0], index, np.ones(len(index), np.int64))
    np.add.at(total[1], index, np.rint(values * np.float32(1000)).astype(np.int64))
    return [("all", (first + k, part)) for k, part in enumerate(np.split(total, last - first + 1, axis=1))]


def _by_second(lists: Iterable[list[Any]], fold: Callable[[list[Any]], Any]) -> float:
    flow, source = Dataflow("peer"), _Lists(lists)
    partials = op.flat_map_batch("fold", op.input("events", flow, source), fold)
    closed = op.stateful_batch("seconds", partials, lambda _: _Seconds())
    op.output("count", op.flat_map("drop", closed, lambda _: ()), Counter())
    return _timed(lambda: run_main(flow)) - source.made_s


def polars(events: int) -> float:
    """Time polars; the number of its threads is in the environment of the process."""
    import polars as pl  # noqa: PLC0415 (reads its number of threads when it is imported)

    frame = pl.DataFrame({name: values for name, values in columns(events).items() if name != "agent_id"})
    x, y = ((pl.col(axis) * _SIDE).cast(pl.Int32) for axis in ("x_m", "y_m"))
    # One key of 32 bits: a sixth faster than three columns.
    key = ((pl.col("time_us") // SECOND_US).cast(pl.Int32) * _SIDE + x) * _SIDE + y

    def grouped(part: pl.DataFrame) -> pl.DataFrame:
        by = part.lazy().group_by(key.alias("key"))
        return by.agg(pl.len(), pl.col("m0").cast(pl.Float64).sum()).collect()

    grouped(frame.head(1000))  # its first query costs half a second
    return _timed(lambda: grouped(frame))


def _timed(job: Callable[[], object]) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start
