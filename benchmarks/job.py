"""A job: frames in memory -> decode -> ingest -> stages -> combine -> window -> count, as a Bytewax flow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

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
from operators.keyed import keyed
from operators.stages import RowStage, filter_rows, over_events
from operators.window import Closed, ShardWindows, WindowConfig

__all__ = ["SECOND", "SECOND_US", "Counter", "Job", "flow_of", "frames"]

SECOND_US = 1_000_000
SECOND = Window("second", SECOND_US, SECOND_US, 200_000)
_DIFFERENT = 8  # frames made; they come round again, later in event time


@dataclass(frozen=True)
class Job:
    """What flows: the events, the cells, the statistics, the windows.

    Parameters
    ----------
    events, rows
        How many, and how many a frame.
    poll
        Frames taken at a time: half a million events, 3 ms of work. A message costs as much as some thousand events,
        so fewer of them serve more, and between processes that is what limits.
    sides
        Cells along x and y.
    step_us
        Event time from frame to frame.
    metrics, full
        Number of metrics, and whether all statistics are kept or count and sum alone.
    features
        Further columns.
    """

    events: int = 40_000_000
    rows: int = 65_536
    sides: tuple[int, int] = (64, 64)
    poll: int = 8
    step_us: int = 100_000
    partitions: int = 2
    shards: int = 8
    agents: int = 1 << 20
    metrics: int = 1
    full: bool = False
    features: int = 0
    windows: tuple[Window, ...] = (SECOND,)
    where: str | None = None
    zipf: bool = False

    @property
    def grid(self) -> Grid:
        """A unit square."""
        nx, ny = self.sides
        return Grid((0.0, 0.0, 0.0), (1 / nx, 1 / ny, 1.0), (nx, ny, 1))

    @property
    def layout(self) -> Layout:
        """Count and sum, or all statistics, of each metric."""
        metrics = tuple(Metric(f"m{i}", 0.001, 0, 8000) for i in range(self.metrics))
        return Layout(metrics, (self.full,) * self.metrics, (self.full,) * self.metrics)

    @property
    def ingest(self) -> IngestConfig:
        """What the source checks."""
        latenesses = [w.lateness_us for w in self.windows]
        return IngestConfig(
            self.grid, self.layout.metrics, least_lateness_us=min(latenesses), lateness_us=max(latenesses)
        )


class Counter(DynamicSink[Any], StatelessSinkPartition[Any]):
    """Counts the events in the results, and when the first and the last of them came."""

    def __init__(self) -> None:
        self.events = 0

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "Counter":
        """Return itself: one worker a process."""
        return self

    def write_batch(self, items: list[tuple[str, Closed]]) -> None:
        """Count."""
        self.events += sum(int(closed.ints[0].sum()) for _, closed in items)


def flow_of(
    job: Job,
    *,
    source: FixedPartitionedSource[Batch, Any] | None = None,
    stage: RowStage | None = None,
    told: Callable[[int], object] = id,
) -> tuple[Dataflow, Counter]:
    """Return the flow of `job` and where its results are counted.

    Parameters
    ----------
    job
        What flows.
    source
        Another one than frames in memory.
    stage
        Another stage over events than the filter `where`.
    told
        Called with the number of each frame before it is decoded; `id` costs nothing.
    """
    grid, layout, counter = job.grid, job.layout, Counter()
    groups = groups_of(job.windows, grid.size)
    shards = ShardMap.uniform(grid.size, job.shards)
    windows = WindowConfig(groups, job.partitions, shards, layout, 3600 * SECOND_US)
    flow = Dataflow("benchmark")
    stream = op.input("source", flow, source or _Frames(job, told))
    if job.where is not None:
        stage = filter_rows(Expression.parse(job.where, [m.name for m in layout.metrics]))
    if stage is not None:
        stream = op.map("stage", stream, over_events(stage))
    combine = Combine(grid, shards, layout, groups, get_backend("numpy"))
    messages = op.flat_map_batch("combine", stream, combine.many)
    closed = keyed("window", messages, partial(ShardWindows, windows))
    op.output("count", closed, counter)
    return flow, counter


def frames(job: Job, partition: int) -> list[bytes]:
    """Return the different frames of a partition."""
    rng = np.random.default_rng(partition)
    return [_frame(job, rng) for _ in range(_DIFFERENT)]


def _frame(job: Job, rng: np.random.Generator) -> bytes:
    n = job.rows
    columns: dict[str, Any] = {
        "agent_id": rng.integers(0, job.agents, n).astype(np.uint64),
        "time_us": np.arange(n) * job.step_us // n + rng.integers(0, 50_000, n),
        "x_m": _positions(job, job.sides[0], rng),
        "y_m": _positions(job, job.sides[1], rng),
        "z_m": np.zeros(n, np.float32),
    }
    columns |= {f"m{i}": rng.random(n, dtype=np.float32) * 1000 for i in range(job.metrics)}
    columns |= {f"f{i}": rng.standard_normal(n, dtype=np.float32) for i in range(job.features)}
    return encode_frame(columns)


def _positions(job: Job, cells: int, rng: np.random.Generator) -> np.ndarray:
    if job.zipf:
        return ((rng.zipf(1.2, job.rows) % cells + rng.random(job.rows)) / cells * 0.999).astype(np.float32)
    return rng.random(job.rows, dtype=np.float32) * np.float32(0.999)


class _Frames(FixedPartitionedSource[Batch, int]):
    def __init__(self, job: Job, told: Callable[[int], object]) -> None:
        self._job, self._told = job, told
        self._made = [frames(job, k) for k in range(job.partitions)]

    def list_parts(self) -> list[str]:
        return [str(k) for k in range(self._job.partitions)]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "_Part":
        return _Part(self._job, int(for_part), self._made[int(for_part)], self._told)


class _Part(StatefulSourcePartition[Batch, int]):
    def __init__(self, job: Job, number: int, made: Sequence[bytes], told: Callable[[int], object]) -> None:
        self._number, self._made, self._next, self._ended = number, made, 0, False
        self._last = max(1, job.events // job.partitions // job.rows)
        self._ingest, self._poll, self._step_us, self._told = Ingest(job.ingest), job.poll, job.step_us, told

    def next_batch(self) -> list[Batch]:
        if self._ended:
            raise StopIteration
        origin = Origin.of_record("memory", self._number)
        if self._next == self._last:
            self._ended = True
            return [self._ingest.finish(origin)]
        return [self._batch(origin) for _ in range(min(self._poll, self._last - self._next))]

    def _batch(self, origin: Origin) -> Batch:
        self._told(self._next)
        columns = dict(decode_frame(self._made[self._next % _DIFFERENT]).columns)
        columns["time_us"] = columns["time_us"] + self._next * self._step_us
        self._next += 1
        return self._ingest.accept(columns, origin)

    def snapshot(self) -> int:
        return self._next  # written, never resumed from
