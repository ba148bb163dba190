"""One run of the flows: the start-up in numbered steps, the engine, and the end."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
from bytewax.testing import run_main

from flows.assemble import assemble
from flows.plan import Plan
from flows.settings.root import Settings
from flows.settings.system import FLOWS
from flows.sinks import fence
from flows.sources import Input
from kernels.errors import AuraError
from kernels.simulate import exponential_levels
from operators.drain import DRAIN
from operators.file_sink import clear_parts
from service.collect import collect, places
from service.console import Console
from service.engine import engine
from service.feed import tell
from service.observe.logs import configure_logs, log
from service.observe.watching import watched
from service.recovery import Store
from service.stop import stop_signals

__all__ = ["Job"]

_SAID = ("events_in", "seconds", "digest")


@dataclass
class Job:
    """A run of `settings`.

    Parameters
    ----------
    settings
        Validated.
    sink
        `files` or `kafka`.
    until_end
        A Kafka source stops at what is the end when the run begins.
    console
        Who is told.
    given
        An opened input to read in place of the source that `settings` names.
    """

    settings: Settings
    sink: str
    until_end: bool
    console: Console
    given: Input | None = None

    def run(self) -> dict[str, Any]:
        """Run to the end of the source, and say what came out and where; return the summary.

        With a recovery directory it goes on from what an earlier start has done, and SIGTERM stops it where it is.
        """
        configure_logs(self.settings.log)
        log("run_started", profile=self.settings.name, source=self.settings.input.source, sink=self.sink)
        try:
            summary = self._whole()
        except AuraError as error:
            log("run_failed", level="error", message=error.message, hint=error.hint)
            raise
        log(
            "run_ended" if "digest" in summary else "run_stopped",
            **{k: summary[k] for k in _SAID if k in summary},
        )
        return summary

    def _whole(self) -> dict[str, Any]:
        """Return the summary, with the recovery store if there is to be one."""
        self.settings.sink.directory.mkdir(parents=True, exist_ok=True)
        if self.settings.recovery.directory is None:
            clear_parts(self.settings.sink.directory)
            summary = self._run({})
            clear_parts(self.settings.sink.directory)
            return summary or {}
        files = self.sink == "files"
        store = Store.open(self.settings, writers=1, files=files)
        try:
            store.roll_back()
            with stop_signals(DRAIN.request):
                summary = self._run(store.engine_options())
            if summary is None:
                self.console.say(
                    "stopped before the end, nothing is lost: the same command goes on from here"
                )
                return {"complete": False}
            store.finish(files=files)
            return summary
        finally:
            store.close()

    def _run(self, options: dict[str, Any]) -> dict[str, Any] | None:
        """Return the summary; None if the run was stopped before its end."""
        made = assemble(self.settings, sink=self.sink, until_end=self.until_end, given=self.given)
        self._announce(made.input, made.plan)
        directory, start = self.settings.sink.directory, time.perf_counter()
        fence(made.sink)
        tell(self.settings, made, 0)
        with watched(self.settings, made, sink=self.sink) as address:
            if address is not None:
                self.console.step("http", f"{address}/metrics and /health")
            with self.console.progress(made.progress), engine(directory / "aura.log"):
                run_main(made.flow, **options)  # type: ignore[no-untyped-call]
        if DRAIN.cut_short:
            return None
        summary = collect(made, directory, seconds=time.perf_counter() - start)
        self.console.results(summary, places(made, directory))
        return summary

    def _announce(self, given: Input, plan: Plan) -> None:
        """Print the steps of the start-up, in their order."""
        settings, say = self.settings, self.console.step
        measured = f": {plan.backend.report}" if plan.backend.report else ""
        say("backends", f"{plan.backend.name} ({plan.backend.provider}){measured}")
        memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        say("resources", f"{os.cpu_count()} CPU cores, {memory_gib:.0f} GiB of memory, {_gpus()}")
        models = [f"{settings.models[name].role}: {name} {m.sha256[:12]}" for name, m in plan.models.items()]
        say("models", ", ".join(models) or "none configured")
        say("flows", f"{_flow(given, plan)} -> {self.sink}")
        say("services", _services(plan))
        say("agents", _agents(settings, given))


def _gpus() -> str:
    found = "CUDAExecutionProvider" in onnxruntime.get_available_providers() and Path("/dev/nvidia0").exists()
    return "a CUDA GPU" if found else "no GPU"


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
    if given.name != "simulate":
        return "as they come"
    counts = exponential_levels(settings.simulate.agents)
    return f"{sum(counts):,} over 7 levels: " + ", ".join(f"{n:,}" for n in counts)
