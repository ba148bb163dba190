"""The flow in one process: frames in memory -> decode -> ingest -> combine -> window -> results."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from benchmarks.row import Row, rate, repeat
from kernels.aggregate import Layout
from kernels.backend import get_backend
from kernels.expression import Expression
from kernels.frame import decode_frame, encode_frame
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.panes import Window
from kernels.shards import ShardMap
from operators.batch import Batch, Origin
from operators.combine import Combine, groups_of
from operators.ingest import Ingest, IngestConfig
from operators.stages import filter_rows, over_events
from operators.window import Closed, ShardWindows, WindowConfig, WindowStep

__all__ = ["Job", "rows", "run"]

_SECOND_US = 1_000_000
_STEP_US = 100_000  # event time from frame to frame
_DIFFERENT = 8  # frames made; they come round again, later in event time
_START = np.zeros(1, np.int64)


@dataclass(frozen=True)
class Job:
    """What flows: the events, the cells, the statistics, the windows."""

    events: int = 40_000_000
    rows: int = 65_536
    side: int = 64
    partitions: int = 2
    shards: int = 8
    metrics: int = 1
    full: bool = False
    windows: tuple[Window, ...] = (Window("second", _SECOND_US, _SECOND_US, 200_000),)
    where: str | None = None
    zipf: bool = False

    @property
    def grid(self) -> Grid:
        """A unit square of side x side cells."""
        return Grid((0.0, 0.0, 0.0), (1 / self.side, 1 / self.side, 1.0), (self.side, self.side, 1))

    @property
    def layout(self) -> Layout:
        """Count and sum, or all statistics, of each metric."""
        metrics = tuple(Metric(f"m{i}", 0.001, 0, 8000) for i in range(self.metrics))
        return Layout(metrics, (self.full,) * self.metrics, (self.full,) * self.metrics)


def run(job: Job) -> int:
    """Run the flow of `job`; return the number of events in the results."""
    flow, counted = _flow(job)
    run_main(flow)
    return counted()


def rows() -> Iterator[Row]:
    """Yield the rows of the flow."""
    sliding = (Window("sliding", 60 * _SECOND_US, _SECOND_US, 200_000),)
    tumbling = (Window("tumbling", 60 * _SECOND_US, 60 * _SECOND_US, 200_000),)
    two = (
        Window("second", _SECOND_US, _SECOND_US, 200_000),
        Window("ten", 10 * _SECOND_US, _SECOND_US, 200_000),
    )
    profile = Job(20_000_000, metrics=3, full=True, windows=two, where="m0 >= 10")
    million = Job(20_000_000, side=1000)
    yield _row("flow, count and sum of one metric, 4,096 cells", Job(), 80)
    yield _row("flow, all statistics of three metrics, two windows, filter, late rule", profile, 20)
    yield _row("flow, 1,000,000 cells, uniform", million, 15)
    yield _row("flow, 1,000,000 cells, Zipf", Job(20_000_000, side=1000, zipf=True), 15)
    base, _ = repeat(lambda: 1 / _rate(Job(windows=tumbling)))
    slide, runs = repeat(lambda: 1 / _rate(Job(windows=sliding)))
    ratios = tuple(r / base for r in runs)
    yield Row(
        "sliding window of 60 panes against tumbling, time", slide / base, "x", 1.3, at_most=True, runs=ratios
    )


def _row(what: str, job: Job, target: float) -> Row:
    value, runs = repeat(lambda: _rate(job))
    return Row(what, value, "M events/s", target, runs=runs)


def _rate(job: Job) -> float:
    flow, counted = _flow(job)
    value = rate(job.events, lambda: run_main(flow))
    if counted() == 0:
        raise RuntimeError("the flow gave no results: the benchmark is wrong")
    return value


def _flow(job: Job) -> tuple[Dataflow, Callable[[], int]]:
    grid, layout = job.grid, job.layout
    groups = groups_of(job.windows, grid.size)
    latenesses = [w.lateness_us for w in job.windows]
    config = IngestConfig(
        grid, layout.metrics, least_lateness_us=min(latenesses), lateness_us=max(latenesses)
    )
    shards = ShardMap.uniform(grid.size, job.shards)
    windows = WindowConfig(groups, job.partitions, shards, layout, 3600 * _SECOND_US)
    counter = _Counter()
    flow = Dataflow("benchmark")
    stream = op.input("source", flow, _Frames(job, config))
    if job.where is not None:
        stage = filter_rows(Expression.parse(job.where, [m.name for m in layout.metrics]))
        stream = op.map("filter", stream, over_events(stage))
    messages = op.flat_map("combine", stream, Combine(grid, shards, layout, groups, get_backend("numpy")))
    closed = op.stateful_batch("window", messages, lambda state: WindowStep(ShardWindows(windows, state)))
    op.output("count", closed, counter)
    return flow, lambda: counter.events


def _frames(job: Job, partition: int) -> list[bytes]:
    rng = np.random.default_rng(partition)
    return [_frame(job, rng) for _ in range(_DIFFERENT)]


def _frame(job: Job, rng: np.random.Generator) -> bytes:
    n = job.rows

    def position() -> np.ndarray:
        if job.zipf:
            return ((rng.zipf(1.2, n) % job.side + rng.random(n)) / job.side * 0.999).astype(np.float32)
        return rng.random(n, dtype=np.float32) * np.float32(0.999)

    columns: dict[str, Any] = {
        "agent_id": rng.integers(0, 1 << 20, n).astype(np.uint64),
        "time_us": np.arange(n) * _STEP_US // n + rng.integers(0, 50_000, n),
        "x_m": position(),
        "y_m": position(),
        "z_m": np.zeros(n, np.float32),
    }
    columns |= {f"m{i}": rng.random(n, dtype=np.float32) * 1000 for i in range(job.metrics)}
    return encode_frame(columns)


class _Frames(FixedPartitionedSource[Batch, int]):
    def __init__(self, job: Job, config: IngestConfig) -> None:
        self._job, self._config = job, config
        self._made = [_frames(job, k) for k in range(job.partitions)]

    def list_parts(self) -> list[str]:
        return [str(k) for k in range(self._job.partitions)]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "_Part":
        return _Part(self._job, int(for_part), self._made[int(for_part)], self._config)


class _Part(StatefulSourcePartition[Batch, int]):
    def __init__(self, job: Job, number: int, frames: Sequence[bytes], config: IngestConfig) -> None:
        self._number, self._made, self._next, self._ended = number, frames, 0, False
        self._last = job.events // job.partitions // job.rows
        self._ingest = Ingest(config)

    def next_batch(self) -> list[Batch]:
        if self._ended:
            raise StopIteration
        origin = Origin("memory", self._number, _START, _START, _START)
        if self._next == self._last:
            self._ended = True
            return [self._ingest.finish(origin)]
        columns = dict(decode_frame(self._made[self._next % _DIFFERENT]).columns)
        columns["time_us"] = columns["time_us"] + self._next * _STEP_US
        self._next += 1
        return [self._ingest.accept(columns, origin)]

    def snapshot(self) -> int:
        return self._next


class _Counter(DynamicSink[Any], StatelessSinkPartition[Any]):
    def __init__(self) -> None:
        self.events = 0

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_Counter":
        return self

    def write_batch(self, items: list[tuple[str, Closed]]) -> None:
        self.events += sum(int(closed.ints[0].sum()) for _, closed in items)
