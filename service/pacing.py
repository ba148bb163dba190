"""When what is sent: events of several partitions in the order of their time, in bursts that a clock lets go.

At a rate, at most rate * s events have gone after s seconds. At a speed, event time runs that many times as fast as the
clock. Both in steps of a tenth of a second; without either, everything is due at once.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError
from kernels.lateness import START_US
from kernels.schema import Columns

__all__ = ["Burst", "Chunk", "Pace", "bursts"]

_STEP_S = 0.1


class Chunk(NamedTuple):
    """N events of one partition, and the text of the ids among them that were hashed from one."""

    columns: Columns
    names: dict[int, str]


class Burst(NamedTuple):
    """Events of one partition that go together, and the event time that it has reached with them."""

    partition: int
    chunk: Chunk
    reached_us: int


class Pace:
    """Lets bursts go when they are due.

    Parameters
    ----------
    rate
        Events a second, of all partitions together.
    speed
        Seconds of event time a second.
    now, sleep
        The clock, in seconds, and how to wait.

    Raises
    ------
    ConfigError
        Both are given, or one is not above 0.
    """

    def __init__(
        self,
        rate: float | None = None,
        speed: float | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if rate is not None and speed is not None:
            raise ConfigError("both a rate and a speed are given", "Give one of them")
        for name, value in (("rate", rate), ("speed", speed)):
            if value is not None and not value > 0:
                raise ConfigError(f"{name} is {value}, expected more than 0")
        self._rate, self._speed, self._now, self._sleep = rate, speed, now, sleep
        self._start_s: float | None = None
        self._first_us, self._sent = 0, 0

    def limit(self, rows: int) -> int:
        """Return how many rows a burst may have, of the `rows` that it would have."""
        return rows if self._rate is None else max(1, min(rows, int(self._rate * _STEP_S)))

    @property
    def step_us(self) -> int | None:
        """The event time that a burst may cover; None: any."""
        return None if self._speed is None else max(1, int(self._speed * _STEP_S * 1e6))

    def wait(self, burst: Burst) -> None:
        """Return when the burst is due."""
        if self._start_s is None:
            self._start_s, self._first_us = self._now(), burst.reached_us
        due_s = self._start_s
        if self._rate is not None:
            due_s += self._sent / self._rate
        elif self._speed is not None:
            due_s += (burst.reached_us - self._first_us) / 1e6 / self._speed
        self._sent += len(burst.chunk.columns["time_us"])
        while (left_s := due_s - self._now()) > 0:
            self._sleep(left_s)


def bursts(parts: Sequence[Iterable[Chunk]], *, rows: int, pace: Pace) -> Iterator[Burst]:
    """Yield the events of partitions in bursts of at most `rows`, each partition's in its order, merged by event time.

    Chunks are asked for one by one and partition by partition, so that a simulation is as far as what is sent.
    """
    limit, step_us = pace.limit(rows), pace.step_us
    each = [_of_partition(number, chunks, limit, step_us) for number, chunks in enumerate(parts)]
    return heapq.merge(*each, key=lambda burst: burst.reached_us)


def _of_partition(number: int, chunks: Iterable[Chunk], rows: int, step_us: int | None) -> Iterator[Burst]:
    reached_us = START_US
    for columns, names in chunks:
        if not len(columns["time_us"]):
            continue
        reached = np.maximum(np.maximum.accumulate(columns["time_us"]), reached_us)
        reached_us = int(reached[-1])
        for first, end in pairwise(_edges(reached, rows, step_us)):
            chunk = Chunk({name: values[first:end] for name, values in columns.items()}, names)
            yield Burst(number, chunk, int(reached[end - 1]))


def _edges(reached: NDArray[np.int64], rows: int, step_us: int | None) -> list[int]:
    """Return where to cut N rows, 0 and N included: at each step of event time, and after so many rows."""
    steps = [0, len(reached)]
    if step_us is not None:
        steps = [0, *(np.flatnonzero(np.diff(reached // step_us)) + 1).tolist(), len(reached)]
    return [edge for first, end in pairwise(steps) for edge in range(first, end, rows)] + [len(reached)]
