"""When events are due that are read again at a speed: event time against a clock that never goes back."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from kernels.lateness import START_US

__all__ = ["LEAST_WAIT_S", "Pace", "awake_in"]

LEAST_WAIT_S = 0.05
"""Between two batches of a paced file: else each row would be one."""

_FIRST_ROWS = 9  # the middle one of their times is where a replay begins: that of the very first may be wrong


class Pace:
    """The speed of a replay, shared by its partitions.

    Parameters
    ----------
    speed
        Seconds of event time in a second.
    now
        The clock, in seconds.

    Examples
    --------
    >>> clock = [100.0]
    >>> pace = Pace(60, now=lambda: clock[0])
    >>> pace.begin(np.array([0]))
    >>> clock[0] += 1
    >>> pace.due(np.array([0, 60_000_000, 90_000_000]))
    (2, 0.0)
    """

    def __init__(self, speed: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._speed, self._now = speed, now
        self._begin_us: int | None = None
        self._begin_s = now()

    def begin(self, time_us: NDArray[np.int64], from_us: int = START_US) -> None:
        """Begin no later than the first (N,) event times of a partition, but not before `from_us`."""
        if not len(time_us):
            return
        first_us = max(int(np.median(time_us[:_FIRST_ROWS])), from_us)
        self._begin_us = first_us if self._begin_us is None else min(self._begin_us, first_us)
        self._begin_s = self._now()

    def due(self, clock_us: NDArray[np.int64]) -> tuple[int, float]:
        """Return how many of (N,) ascending times are due; if none, how many seconds the first has to wait."""
        if self._begin_us is None or not len(clock_us):
            return len(clock_us), 0.0
        now_us = self._begin_us + (self._now() - self._begin_s) * self._speed * 1e6
        rows = int(np.searchsorted(clock_us, now_us, side="right"))
        return rows, 0.0 if rows else (int(clock_us[0]) - now_us) / self._speed / 1e6


def awake_in(wait_s: float) -> datetime:
    """Return the time so many seconds from now, as Bytewax wants to know when to ask again."""
    return datetime.now(UTC) + timedelta(seconds=wait_s)
