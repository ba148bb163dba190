"""The start of a run in numbered steps: each is done, and then said; the one that fails says so and ends the run.

1 backends    who does the arithmetic
2 resources   what this machine has
3 models      loaded, by role
4 flows       the source opened, the steps put together, up to the sink
5 services    the other flows of the run: memory, field, hierarchy, ...
6 agents      how many there will be, if that is known
"""

import os
from pathlib import Path

import onnxruntime

from flows.assemble import Assembled, assemble
from flows.bridge import bridge_of
from flows.cells import layout_of
from flows.models import ModelFiles
from flows.plan import Plan
from flows.settings.root import Settings
from flows.settings.system import FLOWS
from flows.sources import Input
from kernels.scorer import Scorer
from kernels.simulate import exponential_levels
from operators.decisions import DecisionLog
from service.console import Console

__all__ = ["start"]


def start(
    settings: Settings,
    console: Console,
    *,
    sink: str,
    until_end: bool,
    given: Input | None = None,
    decisions: DecisionLog | None = None,
) -> Assembled:
    """Do the steps and return the assembled flow.

    Parameters
    ----------
    settings, sink, until_end, given, decisions
        As of `flows.assemble.assemble`.
    console
        Who is told.

    Raises
    ------
    AuraError
        A step failed, the last one that was said.
    """
    with console.starting("backends") as said:
        backend = bridge_of(settings, layout_of(settings))
        measured = f": {backend.report}" if backend.report else ""
        said.append(f"{backend.name} ({backend.provider}){measured}")
    with console.starting("resources") as said:
        said.append(_resources())
    with console.starting("models") as said:
        models = ModelFiles(settings).load(backend)
        said.append(_models(settings, models))
    with console.starting("flows") as said:
        made = assemble(
            settings, sink=sink, until_end=until_end, given=given, backend=backend, models=models,
            decisions=decisions,
        )  # fmt: skip
        said.append(f"{_flow(made.input, made.plan)} -> {sink}")
    with console.starting("services") as said:
        said.append(_services(made.plan))
    with console.starting("agents") as said:
        said.append(_agents(settings, made.input))
    return made


def _resources() -> str:
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers() and Path("/dev/nvidia0").exists()
    return f"{os.cpu_count()} CPU cores, {memory_gib:.0f} GiB of memory, {'a CUDA GPU' if cuda else 'no GPU'}"


def _models(settings: Settings, models: dict[str, Scorer]) -> str:
    roles = [f"{settings.models[name].role}: {name} {model.sha256[:12]}" for name, model in models.items()]
    return ", ".join(roles) or "none configured"


def _flow(given: Input, plan: Plan) -> str:
    """Return the way of an event: the shared stages, and the steps of each part."""
    parts = " + ".join(f"{name}: {' -> '.join(part.steps)}" for name, part in plan.parts.items())
    shared = [f"{given.name} in {given.partitions} partitions", *(stage.name for stage in plan.row_stages)]
    return f"{' -> '.join(shared)} -> {parts}"


def _services(plan: Plan) -> str:
    others = [flow for flow in FLOWS if flow not in plan.parts]
    running = ", ".join(name for name in plan.parts if name != "cells") or "none"
    return running + (f"; not part of this run: {', '.join(others)} (--flows all)" if others else "")


def _agents(settings: Settings, given: Input) -> str:
    limit = settings.limits.agents
    at_most = f"; at most {limit:,}" if limit is not None else ""
    if given.name != "simulate":
        return f"as they come{at_most}"
    counts = exponential_levels(settings.simulate.agents)
    return f"{sum(counts):,} over 7 levels: " + ", ".join(f"{n:,}" for n in counts) + at_most
