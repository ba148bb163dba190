"""One run of the flows: the start-up in numbered steps, the engine, and the end."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bytewax.testing import run_main

from flows.bridge import check_backends
from flows.settings.root import Settings
from flows.sinks import fence
from flows.sources import Input
from kernels.errors import AuraError
from operators.drain import DRAIN
from operators.file_sink import clear_parts
from service.collect import collect, places
from service.console import Console
from service.degrade.emergency import archive_unread
from service.degrade.governed import Governed, governed
from service.degrade.keeping import keep_running
from service.engine import engine
from service.limits import watched_limits
from service.observe.logs import configure_logs, log
from service.observe.watching import watched
from service.recovery.store import Store
from service.startup import start
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
    obeys
        The decisions of another run, to be done again; None: those of its own, if it may degrade.
    now
        The clock of those decisions, in seconds.
    """

    settings: Settings
    sink: str
    until_end: bool
    console: Console
    given: Input | None = None
    obeys: Path | None = None
    now: Callable[[], float] = time.monotonic
    governed: Governed | None = field(default=None, init=False)

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
        check_backends(self.settings)
        self.settings.sink.directory.mkdir(parents=True, exist_ok=True)
        if self.settings.recovery.directory is None:
            clear_parts(self.settings.sink.directory)
            with governed(self.settings, self.obeys, sink=self.sink, now=self.now) as self.governed:
                summary = self._run({})
            clear_parts(self.settings.sink.directory)
            return summary or {}
        files, stopped = self.sink == "files", threading.Event()
        store = Store.open(self.settings, writers=1, files=files)
        try:
            with (
                stop_signals(lambda: _stop(stopped)),
                governed(
                    self.settings, self.obeys, sink=self.sink, store=store, now=self.now
                ) as self.governed,
            ):
                summary = self._kept(store, stopped)
            if summary is None:
                self.console.say(
                    "stopped before the end, nothing is lost: the same command goes on from here"
                )
                return {"complete": False}
            store.finish(files=files)
            return summary
        finally:
            store.close()

    def _kept(self, store: Store, stopped: threading.Event) -> dict[str, Any] | None:
        """Run, and where it may degrade go on after failures."""
        found = self.governed
        if found is None or found.governor is None:
            return self._resumed(store)
        return keep_running(
            lambda: self._resumed(store),
            governor=found.governor, progress=store.progress, stopped=stopped, tell=self.console.say,
            archive=partial(archive_unread, self.settings),
        )  # fmt: skip

    def _resumed(self, store: Store) -> dict[str, Any] | None:
        store.roll_back()
        return self._run(store.engine_options())

    def _run(self, options: dict[str, Any]) -> dict[str, Any] | None:
        """Return the summary; None if the run was stopped before its end."""
        found = self.governed
        made = start(
            self.settings, self.console, sink=self.sink, until_end=self.until_end, given=self.given,
            decisions=found.decisions if found else None,
        )  # fmt: skip
        directory, start_s = self.settings.sink.directory, time.perf_counter()
        fence(made.sink)
        with watched(
            self.settings, made, sink=self.sink, governor=found.governor if found else None
        ) as address:
            if address is not None:
                self.console.step("http", f"{address}/metrics and /health")
            with (
                watched_limits(self.settings, made, self._alert) as limits,
                self.console.progress(made.progress),
                engine(directory / "aura.log"),
            ):
                run_main(made.flow, **options)  # type: ignore[no-untyped-call]
        if DRAIN.cut_short:
            return None
        seconds = time.perf_counter() - start_s
        summary = collect(made, directory, seconds=seconds, more={"limits": limits.summary()})
        self.console.results(summary, places(made, directory))
        return summary

    def _alert(self, words: str) -> None:
        self.console.say(words)
        log("limit_alert", level="warning", message=words)


def _stop(stopped: threading.Event) -> None:
    stopped.set()
    DRAIN.request()
