"""A process's numbers as Prometheus has them: seconds and bytes, counters that end in `_total`, no agent in a label.

    aura_events_total, aura_event_fates_total{fate}         what came in, and what became of it: windowed, filtered, late, ...
    aura_late_events_total, aura_dead_letters_total{stage, reason}
    aura_results_total{kind}                                rows
    aura_safety_violations_total{invariant}
    aura_stage_duration_seconds{stage}, aura_loop_latency_seconds, aura_end_to_end_latency_seconds
    aura_step_failures_total{stage}
    aura_watermark_lag_seconds, aura_kafka_lag_records{partition}
    aura_backend_info{backend, provider}, aura_model_info{role, model, provider}
    aura_degradation_level                                  0 none to 4 emergency
    aura_memory_resident_bytes, aura_memory_limit_bytes, aura_gc_pause_seconds

What other parts count (calls of the bridge, the hierarchy, safety, emergence) they add as `Source`s.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from flows.plan import Plan
from service.observe.recorder import BOUNDS_S, Recorder, Timing

__all__ = ["Metrics", "Source", "memory_limit_bytes", "registry_of"]

Source = Callable[[], Iterable[Metric]]
"""Yields further metrics when somebody asks."""

_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class Metrics(Collector):
    """Reads a `Recorder` when it is asked to.

    Parameters
    ----------
    recorder
        Of this process.
    plan
        For the backend and the models.
    limit_bytes
        Of memory.
    sources
        Of further metrics.
    """

    def __init__(
        self,
        recorder: Recorder,
        plan: Plan,
        *,
        limit_bytes: int,
        sources: Iterable[Source] = (),
    ) -> None:
        self._recorder, self._plan, self._limit_bytes = recorder, plan, limit_bytes
        self._sources, self._process = tuple(sources), psutil.Process()

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        yield from self._counters()
        yield from self._timings()
        yield from self._lags()
        yield from self._running()
        yield _gauge("aura_memory_resident_bytes", "Memory that is used", self._process.memory_info().rss)
        yield _gauge("aura_memory_limit_bytes", "Memory that may be used", self._limit_bytes)
        for source in self._sources:
            yield from source()

    def _counters(self) -> Iterator[Metric]:
        found = self._recorder
        yield CounterMetricFamily("aura_events", "Events that came in", found.events)
        yield CounterMetricFamily("aura_late_events", "Events in the late output", found.late)
        # What is past the horizon is taken back from `windowed`; a counter must not fall.
        fates = {(fate,): max(0, count) for fate, count in dict(found.fates).items()}
        yield _counter("aura_event_fates", "What became of the events", ("fate",), fates)
        dead = dict(found.dead_letters)
        yield _counter("aura_dead_letters", "Input that could not be used", ("stage", "reason"), dead)
        results = {(kind,): count for kind, count in dict(found.results).items()}
        yield _counter("aura_results", "Rows of results", ("kind",), results)
        violations = {(invariant,): count for invariant, count in dict(found.violations).items()}
        yield _counter("aura_safety_violations", "Violations of an invariant", ("invariant",), violations)
        failures = {(step,): count for step, count in dict(found.failures).items()}
        yield _counter("aura_step_failures", "Exceptions that left a step", ("stage",), failures)

    def _timings(self) -> Iterator[Metric]:
        found = self._recorder
        stages = {(step,): timing for step, timing in dict(found.stages).items()}
        yield _histogram("aura_stage_duration_seconds", "Time in a call of a step", ("stage",), stages)
        yield _histogram("aura_loop_latency_seconds", "Between two calls of a source", (), {(): found.loop})
        what = "From when the sources had passed a window to its results at the sink"
        yield _histogram("aura_end_to_end_latency_seconds", what, (), {(): found.end_to_end})
        yield _histogram("aura_gc_pause_seconds", "Pauses for garbage", (), {(): found.gc_pauses})

    def _lags(self) -> Iterator[Metric]:
        watermark_us = self._recorder.watermark_us
        if watermark_us is not None:
            lag_s = time.time() - watermark_us / 1e6
            yield _gauge("aura_watermark_lag_seconds", "The clock minus the least watermark", lag_s)
        family = GaugeMetricFamily("aura_kafka_lag_records", "Records not read yet", labels=("partition",))
        for number, part in dict(self._recorder.partitions).items():
            if (lag := getattr(part, "lag", None)) is not None:
                family.add_metric((str(number),), lag)
        yield family

    def _running(self) -> Iterator[Metric]:
        backend = {"backend": self._plan.backend.name, "provider": self._plan.backend.provider}
        yield _info("aura_backend_info", "Who does the arithmetic", [backend])
        models = [
            {"role": model.role, "model": model.sha256[:12], "provider": model.provider}
            for model in self._plan.models.values()
        ]
        yield _info("aura_model_info", "Models in use", models, ("role", "model", "provider"))


def registry_of(metrics: Metrics) -> CollectorRegistry:
    """Return a registry of the metrics, and of what Prometheus knows of any process."""
    registry = CollectorRegistry()
    registry.register(metrics)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def memory_limit_bytes(configured_gib: float) -> int:
    """Return the least of the configured limit, the container's and the machine's memory."""
    limits: list[int] = [int(configured_gib * 2**30), psutil.virtual_memory().total]
    limits += [
        int(text) for path in _CGROUP if path.exists() and (text := path.read_text().strip()).isdecimal()
    ]
    return min(limits)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value)


def _counter(name: str, what: str, labels: tuple[str, ...], values: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, what, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def _info(
    name: str, what: str, rows: Iterable[Mapping[str, str]], labels: tuple[str, ...] = ("backend", "provider")
) -> Metric:
    family = GaugeMetricFamily(name, what, labels=labels)
    for row in rows:
        family.add_metric(tuple(row.values()), 1)
    return family


def _histogram(name: str, what: str, labels: tuple[str, ...], timings: Mapping[Any, Timing]) -> Metric:
    family = HistogramMetricFamily(name, what, labels=labels)
    for of, timing in timings.items():
        total, buckets = 0, []
        for bound, count in zip((*BOUNDS_S, float("inf")), timing.counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", total))
        family.add_metric(of, buckets, timing.sum_s)
    return family
