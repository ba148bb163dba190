"""What each promise costs, ns an event: the checks and accounts of a batch of 64k events, one by one."""

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.job import Job, frames
from benchmarks.row import Effort, Row, rate, repeat
from kernels.aggregate import Layout, reduce
from kernels.dedup import Recent
from kernels.frame import decode_frame
from kernels.lateness import stamp
from kernels.seen import Seen
from operators.batch import Batch, Origin
from operators.ingest import Ingest
from operators.recent_pairs import RecentPairs

__all__ = ["rows"]


def rows(effort: Effort) -> Iterator[Row]:
    """Yield a row a promise."""
    job = Job()
    data = frames(job, 0)[0]
    columns = decode_frame(data).columns
    time_us, metric = columns["time_us"], job.layout.metrics[0]
    steady = int(time_us.max())
    cells = job.grid.cells(columns["x_m"], columns["y_m"], columns["z_m"])
    square, extrema = (Layout((metric,), (s,), (e,)) for s, e in ((True, False), (False, True)))

    def reduced(layout: Layout) -> None:
        reduce(cells, job.grid.size, [columns["m0"]], layout)

    def late() -> None:
        stamp(time_us, running_max_us=steady + 300_000, lateness_us=200_000)

    parts: tuple[tuple[str, Callable[[], object]], ...] = (
        ("decode: a frame of any bytes is checked", lambda: decode_frame(data)),
        (
            "validation: positions in the world",
            lambda: job.grid.inside(columns["x_m"], columns["y_m"], columns["z_m"]),
        ),
        ("validation: metric in range", lambda: metric.out_of_range(columns["m0"])),
        (
            "late rule, nothing late",
            lambda: stamp(time_us, running_max_us=int(time_us[0]), lateness_us=200_000),
        ),
        ("late rule, row by row since some are late", late),
        ("all of ingest: validation, late rule, tally", lambda: _ingest(job, columns)),
        ("exact count and sum", lambda: reduced(job.layout)),
        ("exact count, sum and squares in two limbs", lambda: reduced(square)),
        ("count, sum, min and max", lambda: reduced(extrema)),
        ("duplicates taken out", _Unrepeated(columns)),
        ("distinct agents: what was just shipped is left out", _Pairs(cells, columns["agent_id"])),
    )
    turns = max(1, effort.events(50))
    for what, part in parts:
        median, runs = repeat(lambda part=part: 1e3 / _rate(part, job.rows, turns), effort)
        yield Row(what, median, "ns/event", runs=runs)


class _Pairs:
    """Agents that mostly stay where they are."""

    def __init__(self, cells: np.ndarray, agents: np.ndarray) -> None:
        self._seen, self._key, self._agents = RecentPairs(), cells.astype(np.int64), agents

    def __call__(self) -> None:
        self._seen.unseen(self._key, self._agents)


def _ingest(job: Job, columns: dict[str, np.ndarray]) -> Batch:
    return Ingest(job.ingest).accept(columns, Origin.of_record("memory", 0))


class _Unrepeated:
    """Batches that follow one another, as many identities known as a batch has."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self._seen, self._agents, self._time_us = Seen(), columns["agent_id"], np.array(columns["time_us"])
        self._seq = np.zeros(len(self._agents), np.uint32)
        self._span_us = int(self._time_us.max() - self._time_us.min()) + 1

    def __call__(self) -> None:
        self._time_us = self._time_us + self._span_us
        events = Recent(self._agents, self._time_us, self._seq)
        self._seen.repeated(events, oldest_us=int(self._time_us[0]) - self._span_us)


def _rate(part: Callable[[], object], events: int, turns: int) -> float:
    return rate(turns * events, lambda: [part() for _ in range(turns)])
