"""The health of a flow that runs: its components, throughput, latency, errors, and what these say.

flow        failed: the sources have not been called for 30 s; degraded: a step raised
kernels     degraded: a backend was lost, and another has taken its place
models      degraded: the file of one is damaged; what is loaded goes on, a start would need it
latency     above 1 s from a window's passing to its results: a warning, to be looked into
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flows.models import damaged_models
from flows.plan import Plan
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
    plan
        The steps, for who does the arithmetic.
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
        plan: Plan,
        *,
        sink: str,
        more: Callable[[], Mapping[str, Any]] = dict,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._recorder, self._plan = settings, recorder, plan
        self._more, self._now = more, now
        self._uses_kafka = sink == "kafka" or settings.input.source == "kafka"
        self._told: tuple[float, dict[str, Any]] | None = None
        self._start_s = now()
        self._before = (self._start_s, 0, 0, 0.0)

    def __call__(self) -> dict[str, Any]:
        """Return the report; the last one if that is fresh."""
        now_s = self._now()
        if self._told is None or now_s - self._told[0] > _FRESH_S:
            self._told = now_s, self._report(now_s)
        return self._told[1]

    def forget(self) -> None:
        """Make the next report anew, however fresh the last one is: the flow has just ended."""
        self._told = None

    def _report(self, now_s: float) -> dict[str, Any]:
        found, timing = self._recorder, self._recorder.end_to_end
        before_s, events, results, sum_s = self._before
        self._before = now_s, found.events, timing.count, timing.sum_s
        # What came since the last report; where nothing did, of all that there was.
        fresh = timing.count - results
        latency_s = (timing.sum_s - sum_s) / fresh if fresh else timing.mean_s
        slow = latency_s > _SLOW_S
        return report(
            list(self._components(now_s)),
            uptime_s=round(now_s - self._start_s, 1),
            throughput_events_per_s=round((found.events - events) / max(now_s - before_s, 1e-9), 1),
            latency_s=round(latency_s, 4),
            error_rate=round(sum(found.dead_letters.values()) / max(found.events, 1), 6),
            account={"events_in": found.events, **found.fates},
            watermark_us=found.watermark_us,
            newest_us=found.newest_us,
            alerts=[{"severity": "warning", "action": "investigate", "component": "flow",
                     "what": f"results come {latency_s:.1f} s after their windows were passed"}] if slow else [],
            **self._more(),
        )  # fmt: skip

    def _components(self, now_s: float) -> Iterator[Component]:
        settings = self._settings
        yield self._flow(now_s)
        yield self._kernels()
        yield checked("models", self._models, required=bool(settings.models))
        yield checked("disk", lambda: check_disk(settings), required=True)
        yield checked("memory", lambda: check_memory(settings), required=True)
        yield checked("clock", check_clock, required=False)
        if self._uses_kafka:
            broker, topics = broker_checks(settings)
            yield checked("broker", broker, required=True)
            yield checked("topics", topics, required=True)

    def _kernels(self) -> Component:
        backend = self._plan.backend
        if lost := dict(backend.lost):
            detail = "; ".join(f"{name} was lost: {cause}" for name, cause in lost.items())
            todo = f"Nothing is lost, it is slower; see to {', '.join(lost)}, and start again if it does not come back"
            return Component("kernels", "degraded", True, detail, todo)
        return Component("kernels", "healthy", True, f"{backend.name} ({backend.provider})")

    def _models(self) -> Component:
        damaged = damaged_models(self._settings)
        if damaged:
            todo = "Put the files back that the hashes are of: the next start needs them"
            return Component("models", "degraded", detail="; ".join(damaged.values()), todo=todo)
        names = ", ".join(sorted(self._settings.models_used))
        return Component("models", "healthy", detail=names or "none configured")

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
