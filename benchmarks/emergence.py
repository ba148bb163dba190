"""Integrated information of ten regions: what a tick costs."""

import time
from collections.abc import Iterator

import numpy as np

from benchmarks.row import Effort, Row, repeat
from kernels.integrated_information import MAX_PARTS, integrate
from kernels.lagged_covariance import LaggedCovariance

__all__ = ["rows"]

_TICKS = 200


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the two rows of the emergence."""
    for what, all_of_it in (("covariances alone", False), ("all 511 cuts", True)):
        median, runs = repeat(lambda all_of_it=all_of_it: _tick_ms(all_of_it), effort)
        yield Row(f"emergence: a tick of ten regions, {what}", median, "ms", runs=runs, note="CPU time")


def _tick_ms(all_of_it: bool) -> float:
    seen, rng = LaggedCovariance(MAX_PARTS, memory=100), np.random.default_rng(0)
    states = rng.standard_normal((_TICKS, MAX_PARTS))
    start = time.process_time()
    for state in states:
        seen.step(state)
        if all_of_it:
            integrate(seen.matrix, seen.scale)
    return (time.process_time() - start) / _TICKS * 1e3
