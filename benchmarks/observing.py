"""What it costs to record the flow for Prometheus, as a share of the flow's CPU time.

The two cannot be told apart by running with and without: the runs differ by more than 5 %, the cost is below 1 %. So the
calls of a run are counted, and what one of them costs is measured with calls of steps that do nothing.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from bytewax.testing import run_main

from benchmarks.job import SECOND, SECOND_US, Job, flow_of
from benchmarks.row import Effort, Row
from kernels.panes import Window
from operators.batch import Batch, Origin
from operators.wrap import Site, wrap
from service.observe.recorder import Recorder

__all__ = ["rows"]

_MOST = 2.0  # per cent of the throughput
_CALLS = 100_000


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the cost in the fastest flow that there is, and in the one of a profile."""
    two = (SECOND, Window("ten", 10 * SECOND_US, SECOND_US, 200_000))
    jobs = {
        "count and sum of one metric": Job(effort.events(40_000_000)),
        "three metrics, two windows, filter": Job(
            effort.events(20_000_000), metrics=3, full=True, windows=two, where="m0 >= 10"
        ),
    }
    for name, job in jobs.items():
        shares = tuple(_share(job) for _ in range(effort.runs))
        what = f"recording metrics, share of the flow's CPU time, {name}"
        yield Row(what, statistics.median(shares), "%", _MOST, at_most=True, runs=shares)


def _share(job: Job) -> float:
    """Return the per cent of a run's CPU time that recording takes."""
    recorder, (flow, counted) = Recorder({}), flow_of(job)
    wrap(flow, recorder.around)
    start_s = time.process_time()
    run_main(flow)
    took_s = time.process_time() - start_s
    read = recorder.stages["source"].count
    others = sum(timing.count for timing in recorder.stages.values()) - read
    if counted.events == 0 or others == 0:
        raise RuntimeError("nothing was counted or recorded: the benchmark is wrong")
    batch = Batch({}, Origin.nowhere("memory", 0), 0, 0)
    cost_s = read * _call_s("next_batch", lambda: [batch]) + others * _call_s("on_batch", lambda: None)
    return 100 * cost_s / (took_s - cost_s)


def _call_s(method: str, call: Callable[[], Any]) -> float:
    """Return the seconds that recording adds to a call."""
    recorded = Recorder({}).around(Site("step", method, None), call)
    return (_loop_s(recorded) - _loop_s(call)) / _CALLS


def _loop_s(call: Callable[[], Any]) -> float:
    start_s = time.process_time()
    for _ in range(_CALLS):
        call()
    return time.process_time() - start_s
