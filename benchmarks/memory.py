"""Resident memory over ten minutes of event time: a million agents, 100,000 cells, three metrics, three windows."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bytewax.testing import run_main

from benchmarks.job import SECOND_US, Job, flow_of
from benchmarks.row import Effort, Row
from kernels.panes import Window

__all__ = ["rows"]

_MINUTES = 10
_PERIOD_S = 6  # between the events of an agent
_WINDOWS = (
    Window("ten", 10 * SECOND_US, 10 * SECOND_US, 200_000),
    Window("minute", 60 * SECOND_US, 60 * SECOND_US, 200_000),
    Window("sliding", 60 * SECOND_US, SECOND_US, 200_000),
)


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the greatest memory and its growth after the windows have filled."""
    minutes = max(3, effort.events(_MINUTES))
    command = [sys.executable, "-m", "benchmarks.memory", str(minutes)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    by_minute = ", ".join(f"{gb:.2f}" for gb in found)
    yield Row(
        "memory: 1,000,000 agents, 100,000 cells, three metrics, three windows", max(found), "GB", 1.5, at_most=True,
        runs=tuple(found), note=f"RSS at each minute of event time: {by_minute}; an event an agent every {_PERIOD_S} s; "
        "count, sum, squares, minimum, maximum of each metric; distinct agents are not counted",
    )  # fmt: skip
    filled = found[2:]  # the longest window takes a minute, and the first results another
    growth = (filled[-1] - filled[0]) / filled[0]
    yield Row("memory: growth after the second minute", growth, "of it", 0.05, at_most=True, note="0 is flat")


def _work(minutes: int) -> None:
    """Run the flow; print the resident memory, GB, at the start and at each minute of event time."""
    agents, partitions, frame = 1_000_000, 2, 65_536
    step_us = frame * partitions * _PERIOD_S * SECOND_US // agents
    events = agents * minutes * 60 // _PERIOD_S
    job = Job(
        events, sides=(400, 250), step_us=step_us, agents=agents, metrics=3, full=True, windows=_WINDOWS, shards=64
    )  # fmt: skip
    found: dict[int, float] = {}

    def told(number: int) -> None:
        minute = number * step_us // (60 * SECOND_US)
        if minute not in found:
            found[minute] = _resident_gb()

    flow, _ = flow_of(job, told=told)
    run_main(flow)
    print(json.dumps([*found.values(), _resident_gb()]))


def _resident_gb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9


if __name__ == "__main__":
    _work(int(sys.argv[1]))
