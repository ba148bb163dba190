"""How time grows when the events, the cells, the agents or the partitions double: the exponent of a fitted power.

1 is linear, 0 means that it costs nothing. For cells, agents and partitions the events stay the same.
"""

import statistics
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from bytewax.testing import run_main

from benchmarks.job import SECOND, Job, flow_of
from benchmarks.row import Effort, Row, rate

__all__ = ["rows"]


def rows(effort: Effort) -> Iterator[Row]:
    """Yield a curve for each of the four."""
    base = Job(effort.events(10_000_000))
    million = base.events / 1e6
    counted = replace(base, windows=(replace(SECOND, agents=True),))
    curves = {
        "events": {k * million: replace(base, events=k * base.events) for k in (1, 2, 4, 8)},
        "cells": {4**k // 1024: replace(base, sides=(2**k, 2**k)) for k in (6, 7, 8, 9, 10)},
        "agents": {2**k // 1024: replace(counted, agents=2**k) for k in (14, 15, 16, 17, 18)},
        "partitions": {k: replace(base, partitions=k) for k in (1, 2, 4, 8)},
    }
    units = {"events": "M", "cells": "k", "agents": "k", "partitions": ""}
    for name, curve in curves.items():
        seconds = {size: _seconds(job, effort) for size, job in curve.items()}
        exponent = float(np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0])
        note = ", ".join(f"{size:g}{units[name]}: {s:.2f} s" for size, s in seconds.items())
        what = f"doubling the {name}: time grows with the power"
        yield Row(what, exponent, "", 1.05, at_most=True, note=f"{note}; 0.05 allowed for noise")


def _seconds(job: Job, effort: Effort) -> float:
    """Return the time of a run, without that of building what it runs on."""
    times = []
    for _ in range(max(1, effort.runs // 2 + 1)):
        flow, _ = flow_of(job)
        times.append(job.events / rate(job.events, lambda flow=flow: run_main(flow)) / 1e6)
    return statistics.median(times)
