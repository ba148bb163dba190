"""What the calls of the engine take and bring, as plain numbers: a few additions a batch, nothing an event.

    stage duration       of each call of a step
    loop latency         from the end of a source's call to the begin of the next: how long the worker was elsewhere
    end to end           from when the sources here had passed a window's end and lateness, to its results at the sink
    watermark            least of the partitions read here that are not idle

Whoever reads does so from another thread and sees each number as it is just then.
"""

import gc
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from kernels.lateness import END_US
from kernels.schema import MAX_LEVEL
from operators.batch import FATES, Alerts, Batch, DeadLetter, Late, Tally
from operators.cells import Cells
from operators.result import Result
from operators.session import Sessions
from operators.wrap import Call, Site

__all__ = ["BOUNDS_S", "Recorder", "Timing"]

BOUNDS_S = (1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of the buckets; 0.1 s is the one that the alert on slow calls asks about."""
# Steps of the least watermark that are remembered: of batches of 0.1 s of event time 7 minutes.
_PASSED = 4096


class Timing:
    """Durations in buckets, each counted in its own.

    Examples
    --------
    >>> timing = Timing()
    >>> timing.add(0.2)
    >>> timing.count, timing.sum_s, timing.counts[BOUNDS_S.index(0.25)]
    (1, 0.2, 1)
    """

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts, self.sum_s = [0] * (len(BOUNDS_S) + 1), 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    @property
    def mean_s(self) -> float:
        """Their mean; 0 if there were none."""
        return self.sum_s / max(self.count, 1)


class Recorder:
    """Numbers of one process.

    Parameters
    ----------
    lateness_us
        Of each window, by name.

    Attributes
    ----------
    stages
        Durations by step.
    events, fates, results, violations, dead_letters
        Events that came in; what became of them; rows by kind of result; by invariant; by (stage, reason).
    partitions
        Source partitions that are read here, by name.
    """

    def __init__(self, lateness_us: Mapping[str, int]) -> None:
        self._lateness_us = dict(lateness_us)
        self.stages: dict[str, Timing] = {}
        self.loop, self.end_to_end = Timing(), Timing()
        self.gc_pauses = Timing()
        self.events, self.late = 0, 0
        self.fates: Counter[str] = Counter(dict.fromkeys(FATES, 0))
        self.results: Counter[str] = Counter()
        self.dead_letters: Counter[tuple[str, str]] = Counter()
        self.failures: Counter[str] = Counter()
        self.partitions: dict[int, Any] = {}
        self.agents: dict[tuple[int, str], int] = {}
        self.violations: Counter[str] = Counter()
        self.phi_nats: float | None = None
        self._watermarks: dict[int, int] = {}
        self._passed_us, self._passed_s = [-END_US], [0.0]
        self._left_s: float | None = None
        self.called_s = 0.0  # when a source was called last, by time.monotonic

    @property
    def watermark_us(self) -> int | None:
        """Least watermark of the partitions read here; None while there is none, or all are at their end."""
        least = min(self._watermarks.values(), default=END_US)
        return least if -END_US < least < END_US else None

    @property
    def newest_us(self) -> int | None:
        """The newest event time that was read here; None before there is any."""
        known = [mark for mark in list(self._watermarks.values()) if -END_US < mark < END_US]
        return max(known, default=None)

    @property
    def errors(self) -> int:
        """Dead letters, and exceptions that left a step."""
        return sum(self.dead_letters.values()) + sum(self.failures.values())

    def around(self, site: Site, call: Call) -> Call:
        """Return `call`, recorded; only what works on batches is."""
        timing = self.stages.setdefault(site.step, Timing()) if site.method in _TIMED else None
        if timing is None:
            return call
        if site.method == "next_batch":
            return self._source(site, call, timing)
        if site.method == "write_batch":
            return self._sink(call, timing)
        return self._timed(site.step, call, timing)

    def watch_gc(self) -> None:
        """Record the pauses of the garbage collector from now on."""
        began_s = 0.0

        def pause(phase: str, info: Mapping[str, int]) -> None:  # noqa: ARG001 (gc names them)
            nonlocal began_s
            if phase == "start":
                began_s = time.perf_counter()
            else:
                self.gc_pauses.add(time.perf_counter() - began_s)

        gc.callbacks.append(pause)

    def _timed(self, step: str, call: Call, timing: Timing) -> Call:
        add, now, failures = timing.add, time.perf_counter, self.failures

        def timed(*args: Any) -> Any:
            start_s = now()
            try:
                return call(*args)
            except Exception:
                failures[step] += 1
                raise
            finally:
                add(now() - start_s)

        return timed

    def _source(self, site: Site, call: Call, timing: Timing) -> Call:
        part = site.part

        def read(*args: Any) -> Any:
            start_s, self.called_s = time.perf_counter(), time.monotonic()
            if self._left_s is not None:
                self.loop.add(start_s - self._left_s)
            try:
                batches = call(*args)
            finally:
                self._left_s = time.perf_counter()
                timing.add(self._left_s - start_s)
            if batches:
                self._note(part, batches[-1], self._left_s)
            return batches

        return read

    def _note(self, part: Any, last: Batch, now_s: float) -> None:
        """Note how far a partition has come with its last batch."""
        self.partitions[last.partition] = part
        self._watermarks[last.partition] = END_US if last.idle else last.watermark_us
        least_us = min(self._watermarks.values())
        if least_us > self._passed_us[-1]:
            self._passed_us.append(least_us)
            self._passed_s.append(now_s)
            if len(self._passed_us) > 2 * _PASSED:
                del self._passed_us[:_PASSED], self._passed_s[:_PASSED]

    def _sink(self, call: Call, timing: Timing) -> Call:
        def write(values: list[Any]) -> Any:
            start_s = time.perf_counter()
            for value in values:
                self._count(value, start_s)
            try:
                return call(values)
            finally:
                timing.add(time.perf_counter() - start_s)

        return write

    def _count(self, value: Any, now_s: float) -> None:
        if isinstance(value, Tally):
            self.events += value.events_in
            for fate in FATES:
                self.fates[fate] += getattr(value, fate)
        elif isinstance(value, Cells):
            self.results["cells"] += len(value)
            self._completed(value, now_s)
        elif isinstance(value, DeadLetter):
            self.dead_letters[value.stage, value.reason] += 1
        elif isinstance(value, Late):
            self.late += len(value.offset)
        elif isinstance(value, Alerts):
            self.results["alerts"] += len(value.rows)
        elif isinstance(value, Result):
            self.results[value.kind] += len(value)
            self._domain(value)
        elif isinstance(value, Sessions):
            self.results["sessions"] += len(value)

    def _domain(self, result: Result) -> None:
        """Note what the results of a part say."""
        columns = result.columns
        if result.kind == "agents":
            shard = result.id.rpartition("/")[2]
            for level, count in enumerate(np.bincount(columns["level"], minlength=MAX_LEVEL + 1).tolist()):
                self.agents[level, shard] = count
        elif result.kind == "violations":
            self.violations.update(columns["invariant"].tolist())
        elif result.kind == "emergence" and len(result):
            self.phi_nats = float(columns["phi_nats"][-1])

    def _completed(self, cells: Cells, now_s: float) -> None:
        """Record how long after the sources passed it the last window of `cells` came to the sink."""
        if not len(cells) or np.any(cells.columns["revision"][:1]):
            return  # an amendment is not late, the partition was
        name = cells.windows[int(cells.columns["window"][0])]
        closes_us = int(cells.columns["end_us"][-1]) + self._lateness_us.get(name, 0)
        at = bisect_left(self._passed_us, closes_us)
        if 0 < at < len(self._passed_s):
            self.end_to_end.add(now_s - self._passed_s[at])


_TIMED = ("map", "next_batch", "on_batch", "on_notify", "write_batch", "snapshot")
