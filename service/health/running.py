"""The health of a flow that runs: its components, throughput, latency, errors, and what these say.

flow        failed: the sources have not been called for 30 s; degraded: a step raised
latency     above 1 s from a window's passing to its results: a warning, to be looked into
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from flows.settings.root import Settings
from service.health.broker import broker_checks
from service.health.checks import check_clock, check_disk, check_memory
from service.health.component import Component, checked, report
from service.observe.recorder import Recorder

__all__ = ["Running"]

_STUCK_S = 30.0  # longer than a commit may take
_SLOW_S = 1.0
_FRESH_S = 5.0  # so long an answer is given again: whoever asks often costs nothing


class Running:
    """The report on a flow that runs.

    Parameters
    ----------
    settings
        Validated.
    recorder
        Of this process.
    sink
        files or kafka.
    more
        Returns further fields: the level, and what fallbacks are active.
    now
        A clock in seconds that never goes back.
    """

    def __init__(
        self,
        settings: Settings,
        recorder: Recorder,
        *,
        sink: str,
        more: Callable[[], Mapping[str, Any]] = dict,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._recorder, self._more, self._now = settings, recorder, more, now
        self._uses_kafka = sink == "kafka" or settings.input.source == "kafka"
        self._told: tuple[float, dict[str, Any]] | None = None
        self._start_s = now()
        self._before = (self._start_s, 0)

    def __call__(self) -> dict[str, Any]:
        """Return the report; the last one if that is fresh."""
        now_s = self._now()
        if self._told is None or now_s - self._told[0] > _FRESH_S:
            self._told = now_s, self._report(now_s)
        return self._told[1]

    def _report(self, now_s: float) -> dict[str, Any]:
        settings, found = self._settings, self._recorder
        components = [self._flow(now_s)]
        components += [
            checked("disk", lambda: check_disk(settings), required=True),
            checked("memory", lambda: check_memory(settings), required=True),
            checked("clock", check_clock, required=False),
        ]
        if self._uses_kafka:
            broker, topics = broker_checks(settings)
            components += [checked("broker", broker, required=True), checked("topics", topics, required=True)]
        latency_s, events = found.end_to_end.mean_s, found.events
        (before_s, before), self._before = self._before, (now_s, events)
        slow = latency_s > _SLOW_S
        return report(
            components,
            uptime_s=round(now_s - self._start_s, 1),
            throughput_events_per_s=round((events - before) / max(now_s - before_s, 1e-9), 1),
            latency_s=round(latency_s, 4),
            error_rate=round(sum(found.dead_letters.values()) / max(events, 1), 6),
            alerts=[{"severity": "warning", "action": "investigate", "component": "flow",
                     "what": f"results come {latency_s:.1f} s after their windows were passed"}] if slow else [],
            **self._more(),
        )  # fmt: skip

    def _flow(self, now_s: float) -> Component:
        found = self._recorder
        silent_s = now_s - max(found.called_s, self._start_s)
        measured = {"events": float(found.events), "since_last_call_s": round(silent_s, 2)}
        if silent_s > _STUCK_S:
            detail = f"the sources have not been called for {silent_s:.0f} s"
            return Component(
                "flow", "failed", True, detail, "See the log for a step that hangs", performance=measured
            )
        if found.failures:
            detail = ", ".join(f"{step} raised {count} times" for step, count in found.failures.items())
            return Component(
                "flow", "degraded", True, detail, "The log holds the traceback", performance=measured
            )
        return Component("flow", "healthy", True, performance=measured)
