"""The profile of a run."""

from flows.settings import load
from service.observe.profiler import profile_run


def test_every_step_has_its_costs() -> None:
    """Time and memory of each step that was called; together no more than the run took."""
    found, seconds = profile_run(load("minimal").settings)
    assert {"source", "combine", "window", "cells", "sink", "sink.snapshot"} <= set(found)
    assert all(cost.calls > 0 and cost.wall_s > 0 for cost in found.values())
    assert sum(cost.wall_s for cost in found.values()) <= seconds
    assert found["combine"].peak_bytes > 0
    assert found["sink.snapshot"].peak_bytes > 0
