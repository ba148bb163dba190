"""A row of the table: what is measured, its target, and the median of a few runs."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Row", "rate", "repeat"]

RUNS = 5


@dataclass(frozen=True)
class Row:
    """One line of the report.

    Parameters
    ----------
    what
        The job.
    value, unit
        The median.
    target
        What it should reach; None if it is shown for comparison only.
    at_most
        Whether the target is an upper bound.
    runs
        All values.
    note
        What the value stands beside: a peer, a limit, settings.
    """

    what: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = False
    runs: tuple[float, ...] = field(default=())
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def repeat(job: Callable[[], float], runs: int = RUNS) -> tuple[float, tuple[float, ...]]:
    """Run `job` once to warm up and then `runs` times; return the median of what it returns, and all of it."""
    job()
    values = tuple(job() for _ in range(runs))
    return statistics.median(values), values


def rate(events: int, job: Callable[[], object]) -> float:
    """Return millions of events a second of one run of `job`."""
    start = time.perf_counter()
    job()
    return events / (time.perf_counter() - start) / 1e6
