"""Watches a process while it runs, and decides: the level by the ladder, the share of the models' fast path by the canary.

    signals     latency, watermark lag, memory, errors since the last look, components that have failed
    decisions   into the log first, where every process finds them (`operators.decisions`), then to the brokers
    emergency   once it is decided, whoever asked for it, the flow is asked to drain: its state is saved

It has a thread of its own, and looks once a second; a test calls `step` with a clock of its own.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from flows.models import damaged_models
from flows.plan import Plan
from flows.settings.root import Settings
from operators.decisions import Decision, DecisionLog, Swap
from operators.drain import DRAIN
from service.degrade.canary import Canary, Phase
from service.degrade.ladder import Ladder, Level
from service.degrade.publisher import Publisher
from service.observe.logs import log as log_event
from service.observe.metrics import memory_limit_bytes
from service.observe.recorder import Recorder

__all__ = ["Governor"]

_HEALTH_S = 5.0  # between two words about the health
_DECISIONS = 5  # that a report has: the last ones
_MODELS_S = 5.0  # between two looks at the files of the models


@dataclass
class _Seen:
    """What the counters said at the last look."""

    events: int = 0
    errors: int = 0
    results: int = 0
    latency_s: float = 0.0
    calls: int = 0
    call_errors: int = 0


@dataclass
class Governor:
    """Of one process.

    Parameters
    ----------
    settings
        Validated.
    decisions
        Of the run.
    publisher
        Told of each decision once it is in the log, and every few seconds of the health; None: nobody is.
    now
        A clock in seconds that never goes back.
    who
        The process, among those of the run; number 0 tells of what others than the governors have decided.
    save
        Asks for the drain.
    health
        Returns the whole report on the flow, once there is one; its own fields without.
    """

    settings: Settings
    decisions: DecisionLog
    publisher: Publisher | None = None
    now: Callable[[], float] = time.monotonic
    who: str = "0"
    save: Callable[[], object] = DRAIN.request
    canary: Canary = field(default_factory=Canary)
    failures: dict[str, str] = field(default_factory=dict)
    timeline: list[tuple[float, int, int, str]] = field(default_factory=list)
    health: Callable[[], Mapping[str, object]] | None = None

    def __post_init__(self) -> None:
        """Begin on the level that the run was on."""
        given, last = self.settings.degradation, self.decisions.schedule.decisions
        self.ladder = Ladder(
            given.thresholds, stay_s=given.stay / 1e6, level=Level(last[-1].level if last else 0)
        )
        self._limit_bytes = memory_limit_bytes(self.settings.limits.memory_gib)
        self._recorder: Recorder | None = None
        self._plan: Plan | None = None
        self._seen, self._process = _Seen(), psutil.Process()
        self._last: dict[str, float] = {}
        self._told_s = -_HEALTH_S
        self._swaps = len(self.decisions.schedule.swaps)
        self._looked_s = -_MODELS_S
        self._saved = False

    @property
    def in_emergency(self) -> bool:
        """Whether it is one, for this process or for all of the run."""
        last = self.decisions.schedule.decisions[-1:]
        return self.ladder.level is Level.EMERGENCY or any(each.level == Level.EMERGENCY for each in last)

    def attach(self, recorder: Recorder, plan: Plan) -> None:
        """Watch a flow that begins."""
        self._recorder, self._plan, self._seen = recorder, plan, _Seen()
        self.failures.pop("flow", None)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look from a thread while the block runs."""
        over = threading.Event()

        def forever() -> None:
            while not over.wait(self.settings.degradation.every / 1e6):
                self.step()

        thread = threading.Thread(target=forever, name="governor", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if self.publisher is not None:  # the last word of a run that ends
            self._flush(self.publisher)

    def step(self) -> None:
        """Look at the signals, and decide."""
        now_s = self.now()
        moved = self._watch_path(now_s)
        self._last = self.signals()
        change = self.ladder.observe(now_s, self._last)
        reason = change.reason if change is not None else f"models: {self.canary.phase.value}"
        if change is not None or moved:
            self._note(now_s, reason)
        self._publish(now_s, [*self._decided(reason), *(self._swapped() if self.who == "0" else [])])
        emergency = self.in_emergency and self.settings.recovery.directory is not None
        if emergency and not self._saved:
            self.save()
        self._saved = emergency

    def _decided(self, reason: str) -> list[Decision]:
        """Return the decision that comes of it, if any; where the log cannot be written, that is what has failed."""
        try:
            decision = self.decisions.propose(self.who, int(self.ladder.level), self.canary.share, reason)
        except OSError as error:
            self.failures["decisions"] = str(error)
            return []
        self.failures.pop("decisions", None)
        return [decision] if decision is not None else []

    def signals(self) -> dict[str, float]:
        """Return what is measured now, of what comes since the last look where that makes sense."""
        self._look_at_models()
        found = {
            "memory": self._process.memory_info().rss / self._limit_bytes,
            "failed": float(len(self.failures) + len(self._lost())),
        }
        if (recorder := self._recorder) is None:
            return found
        seen, self._seen = self._seen, _Seen(calls=self._seen.calls, call_errors=self._seen.call_errors)
        self._seen.events, self._seen.errors = recorder.events, recorder.errors
        self._seen.results, self._seen.latency_s = recorder.end_to_end.count, recorder.end_to_end.sum_s
        if (events := recorder.events - seen.events) > 0:
            found["errors"] = (recorder.errors - seen.errors) / events
        if (results := self._seen.results - seen.results) > 0:
            found["latency_s"] = (self._seen.latency_s - seen.latency_s) / results
        if (watermark_us := recorder.watermark_us) is not None:
            found["lag_s"] = time.time() - watermark_us / 1e6
        return found

    def _look_at_models(self) -> None:
        """Note which files of models are damaged: what is loaded goes on, a start would need the copies."""
        now_s = self.now()
        if now_s - self._looked_s < _MODELS_S:
            return
        self._looked_s = now_s
        for name in [name for name in self.failures if name.startswith("model ")]:
            del self.failures[name]
        self.failures |= {f"model {name}": why for name, why in damaged_models(self.settings).items()}

    def metrics(self) -> Iterator[Metric]:
        """Yield the level, the share, and how many decisions there have been."""
        yield GaugeMetricFamily("aura_degradation_level", "0 none to 4 emergency", self.ladder.level)
        yield GaugeMetricFamily(
            "aura_fast_path_share", "Of the models' work, 0 to 1", self.canary.share / 100
        )
        made = len(self.decisions.schedule)
        yield CounterMetricFamily("aura_decisions", "Changes of level or share", made)

    def report(self) -> dict[str, object]:
        """Return the fields of the health report: the level, and which fallbacks are active."""
        fallbacks = [f"numpy for {name}" for name in self._lost()]
        if self.canary.share < 100:
            fallbacks.append(f"models: {self.canary.share} % on the fast path, {self.canary.phase.value}")
        made = [each._asdict() for each in self.decisions.schedule.decisions[-_DECISIONS:]]
        return {"level": self.ladder.level.name.lower(), "active_fallbacks": fallbacks, "decisions": made}

    def _lost(self) -> dict[str, str]:
        return dict(self._plan.backend.lost) if self._plan is not None else {}

    def _watch_path(self, now_s: float) -> bool:
        """Follow the models' fast path; return whether its share has changed."""
        if self._plan is None:
            return False
        trial, seen, before = self._plan.trial, self._seen, self.canary.share
        calls, errors = trial.calls - seen.calls, trial.errors - seen.call_errors
        seen.calls, seen.call_errors = trial.calls, trial.errors
        if self._lost() and self.canary.phase is Phase.WELL:
            self.canary.lose(now_s)
        elif self._lost() and self.canary.phase is Phase.WATCHED:
            self.canary.fail(now_s)
        elif calls:
            self.canary.report(now_s, calls=calls, errors=errors)
        self.canary.tick(now_s)
        if self.canary.share > 0:
            for name in self._lost():
                self._plan.backend.restore(name)
        return self.canary.share != before

    def _swapped(self) -> list[Swap]:
        """Return the swaps of models since the last look, which another command has written."""
        swaps = self.decisions.schedule.swaps[self._swaps :]
        self._swaps += len(swaps)
        for swap in swaps:
            log_event("model_swapped", model=swap.name, sha256=swap.sha256, from_us=swap.from_us)
        return swaps

    def _publish(self, now_s: float, decisions: list[Decision | Swap]) -> None:
        """Tell the brokers; whether they take it is one of the signals."""
        if self.publisher is None:
            return
        for decision in decisions:
            self.publisher.tell(decision)
        if not decisions and now_s - self._told_s < _HEALTH_S:
            return
        self._told_s = now_s
        self._flush(self.publisher)

    def _flush(self, publisher: Publisher) -> None:
        if publisher.flush(self._told):
            self.failures.pop("broker", None)
        else:
            self.failures["broker"] = publisher.failure

    def _told(self) -> dict[str, object]:
        whole = {} if self.health is None else self.health()
        return {**whole, **self.report(), "signals": self._last}

    def _note(self, now_s: float, reason: str) -> None:
        name, share = self.ladder.level.name.lower(), self.canary.share
        self.timeline.append((now_s, int(self.ladder.level), share, reason))
        log_event("level_changed", level="warning", degradation=name, share=share, reason=reason)
