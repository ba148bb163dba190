"""Time and memory by step of a run.

The run is made twice, since watching memory slows what it watches down: the first one gives the times, the second the
memory. Both write into a temporary folder, so that what is there stays as it is.
"""

import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bytewax.testing import run_main

from flows.assemble import assemble
from flows.settings.root import Settings
from operators.wrap import Call, Site, wrap
from service.engine import engine

__all__ = ["Cost", "profile_run"]


@dataclass(slots=True)
class Cost:
    """What a step has cost: calls, seconds by the clock and of the CPU, most bytes at once, bytes that it kept."""

    calls: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    kept_bytes: int = 0


class TimeProfiler:
    """Adds up the time in each step."""

    def __init__(self) -> None:
        self.costs: dict[str, Cost] = {}

    def around(self, site: Site, call: Call) -> Call:
        """Return `call`, timed."""
        cost = self.costs.setdefault(_name(site), Cost())

        def timed(*args: Any) -> Any:
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            try:
                return call(*args)
            finally:
                cost.calls += 1
                cost.wall_s += time.perf_counter() - wall_s
                cost.cpu_s += time.thread_time() - cpu_s

        return timed


class MemoryProfiler:
    """Notes what each step allocates, by `tracemalloc`, which numpy tells of its arrays."""

    def __init__(self) -> None:
        self.costs: dict[str, Cost] = {}

    def around(self, site: Site, call: Call) -> Call:
        """Return `call`, its memory watched."""
        cost = self.costs.setdefault(_name(site), Cost())

        def watched(*args: Any) -> Any:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            try:
                return call(*args)
            finally:
                after, peak = tracemalloc.get_traced_memory()
                cost.peak_bytes = max(cost.peak_bytes, peak - before)
                cost.kept_bytes += after - before

        return watched


def profile_run(settings: Settings) -> tuple[dict[str, Cost], float]:
    """Return the costs by step, those of the longest time first, and how many seconds the whole run took."""
    times, memory = TimeProfiler(), MemoryProfiler()
    seconds = _run(settings, times)
    tracemalloc.start()
    try:
        _run(settings, memory)
    finally:
        tracemalloc.stop()
    for step, cost in times.costs.items():
        seen = memory.costs.get(step, Cost())
        cost.peak_bytes, cost.kept_bytes = seen.peak_bytes, seen.kept_bytes
    called = {step: cost for step, cost in times.costs.items() if cost.calls}
    return dict(sorted(called.items(), key=lambda item: -item[1].wall_s)), seconds


def _run(settings: Settings, profiler: TimeProfiler | MemoryProfiler) -> float:
    with tempfile.TemporaryDirectory(prefix="aura-profile-") as folder:
        sink = settings.sink.model_copy(update={"directory": Path(folder)})
        made = assemble(settings.model_copy(update={"sink": sink}), until_end=True)
        wrap(made.flow, profiler.around)
        start_s = time.perf_counter()
        with engine(Path(folder) / "aura.log"):
            run_main(made.flow)  # type: ignore[no-untyped-call]
        return time.perf_counter() - start_s


def _name(site: Site) -> str:
    """Return the step; what it does beside batches stands apart."""
    return (
        site.step
        if site.method in ("map", "next_batch", "on_batch", "write_batch")
        else f"{site.step}.{site.method}"
    )
