"""A row of the table: what is measured, its target, what it stands beside, and the median of a few runs."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Effort", "Row", "rate", "repeat"]


@dataclass(frozen=True)
class Effort:
    """How much is done.

    Parameters
    ----------
    runs
        Timed runs a row, after one that is not timed.
    share
        Of the events of the full jobs.
    """

    runs: int = 5
    share: float = 1.0

    def events(self, full: int) -> int:
        """Return how many events a job has that has `full` of them."""
        return int(full * self.share)


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
    peer, peer_value
        What it stands beside, measured in the same run, in the same unit.
    note
        Settings.
    """

    what: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = False
    runs: tuple[float, ...] = field(default=())
    peer: str = ""
    peer_value: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    @property
    def ratio(self) -> float | None:
        """The value by the peer's."""
        return None if self.peer_value is None else self.value / self.peer_value


def repeat(job: Callable[[], float], effort: Effort) -> tuple[float, tuple[float, ...]]:
    """Run `job` once to warm up and then some times; return the median of what it returns, and all of it."""
    job()
    values = tuple(job() for _ in range(effort.runs))
    return statistics.median(values), values


def rate(events: int, job: Callable[[], object]) -> float:
    """Return millions of events a second of one run of `job`."""
    start = time.perf_counter()
    job()
    return events / (time.perf_counter() - start) / 1e6
