"""The flow in one process: frames in memory -> decode -> ingest -> combine -> window -> results."""

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

from benchmarks.job import SECOND, SECOND_US, Job, flow_of, frames
from benchmarks.row import Effort, Row, rate, repeat
from kernels.aggregate import reduce
from kernels.frame import decode_frame
from kernels.panes import Window

__all__ = ["flow_rate", "rows", "snapshot_rows", "window_rows"]

_EPOCH = timedelta(seconds=0.1)


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the flow of one metric and of the flights' profile."""
    job = Job(effort.events(40_000_000))
    yield _row("flow, count and sum of one metric, 4,096 cells", job, 80, effort, beside_kernels=True)
    two = (SECOND, Window("ten", 10 * SECOND_US, SECOND_US, 200_000))
    profile = Job(effort.events(20_000_000), metrics=3, full=True, windows=two, where="m0 >= 10")
    what = "flow, all statistics of three metrics, two windows, filter, late rule, counters"
    yield _row(what, profile, 20, effort, beside_kernels=True)


def snapshot_rows(effort: Effort) -> Iterator[Row]:
    """Yield the flow over a million cells, without and with snapshots in turn, and what those cost."""
    for name, zipf in (("uniform", False), ("Zipf", True)):
        job = Job(effort.events(40_000_000), sides=(1000, 1000), zipf=zipf)
        pairs = [(flow_rate(job), flow_rate(job, snapshots=True)) for _ in range(effort.runs + 1)][1:]
        without, kept = zip(*pairs, strict=True)
        rate_of = f"flow, 1,000,000 cells, {name}", statistics.median(without), "M events/s", 15.0
        yield Row(*rate_of, runs=without)
        rate_of = (
            f"flow, 1,000,000 cells, {name}, snapshots every 0.1 s",
            statistics.median(kept),
            "M events/s",
            12.0,
        )
        yield Row(*rate_of, runs=kept, peer="without snapshots", peer_value=statistics.median(without))
        costs = tuple(1 - slow / fast for fast, slow in pairs)
        what = f"what snapshots of a million cells every 0.1 s cost, {name}"
        yield Row(what, statistics.median(costs), "of throughput", 0.2, at_most=True, runs=costs)


def window_rows(effort: Effort) -> Iterator[Row]:
    """Yield the time of a sliding window by that of a tumbling one, run in turn."""
    job = Job(
        effort.events(40_000_000), windows=(Window("tumbling", 60 * SECOND_US, 60 * SECOND_US, 200_000),)
    )
    sliding = replace(job, windows=(Window("sliding", 60 * SECOND_US, SECOND_US, 200_000),))
    pairs = [(flow_rate(job), flow_rate(sliding)) for _ in range(effort.runs + 1)][1:]
    ratios = tuple(tumbling / slid for tumbling, slid in pairs)
    what = "sliding window of 60 panes against tumbling, time"
    yield Row(what, statistics.median(ratios), "x", 1.3, at_most=True, runs=ratios, note="run in turn")


def flow_rate(job: Job, *, snapshots: bool = False) -> float:
    """Return the rate of one run of `job`, with a recovery store in a temporary folder if asked for."""
    flow, counted = flow_of(job)
    with tempfile.TemporaryDirectory() as folder:
        options = {}
        if snapshots:
            init_db_dir(Path(folder), 1)
            options = {"epoch_interval": _EPOCH, "recovery_config": RecoveryConfig(folder)}
        value = rate(job.events, lambda: run_main(flow, **options))
    if counted.events == 0:
        raise RuntimeError("the flow gave no results: the benchmark is wrong")
    return value


def _row(what: str, job: Job, target: float, effort: Effort, *, beside_kernels: bool = False) -> Row:
    value, runs = repeat(lambda: flow_rate(job), effort)
    peer = repeat(lambda: _kernels_rate(job), effort)[0] if beside_kernels else None
    name = "decode, cell and reduce alone, no engine" if beside_kernels else ""
    return Row(what, value, "M events/s", target, runs=runs, peer=name, peer_value=peer)


def _kernels_rate(job: Job) -> float:
    """Return the rate of the arithmetic alone on the same frames."""
    made, grid, layout, turns = frames(job, 0), job.grid, job.layout, max(1, job.events // job.rows // 4)

    def all_turns() -> None:
        for turn in range(turns):
            columns = decode_frame(made[turn % len(made)]).columns
            cells = grid.cells(columns["x_m"], columns["y_m"], columns["z_m"])
            reduce(cells, grid.size, [columns[m.name] for m in layout.metrics], layout)

    return rate(turns * job.rows, all_turns)
