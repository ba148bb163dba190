"""Metrics of parts that count for themselves: the bridge to the kernels, the population, emergence.

aura_bridge_calls_total{kernel, backend, outcome}, aura_bridge_duration_seconds{kernel, backend}
aura_agents{level, shard}                   agents in the last result of each shard, by level of the hierarchy
aura_safety_violations_total{invariant}
aura_integrated_information                 in nats, of the last tick
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from operators.bridge_calls import BOUNDS_S, Calls
from service.observe.metrics import Source
from service.observe.recorder import Recorder

__all__ = ["bridge_metrics", "domain_metrics", "no_degradation", "no_fallbacks"]


def bridge_metrics(calls: Calls) -> Source:
    """Return the source of the bridge's metrics."""
    return partial(_bridge, calls)


def _bridge(calls: Calls) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "aura_bridge_calls", "Calls of kernels", labels=("kernel", "backend", "outcome")
    )
    for labels, count in dict(calls.calls).items():
        family.add_metric(labels, count)
    yield family
    durations = HistogramMetricFamily(
        "aura_bridge_duration_seconds", "Time in a kernel", labels=("kernel", "backend")
    )
    for pair, found in dict(calls.durations).items():
        total, buckets = 0, []
        for bound, count in zip((*BOUNDS_S, None), found.counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound is None else f"{bound:g}", total))
        durations.add_metric(pair, buckets, found.total_s)
    yield durations


def domain_metrics(recorder: Recorder) -> Iterator[Metric]:
    """Yield what the results of the parts say."""
    agents = GaugeMetricFamily("aura_agents", "Agents by level of the hierarchy", labels=("level", "shard"))
    for (level, shard), count in dict(recorder.agents).items():
        agents.add_metric((str(level), shard), count)
    yield agents
    if recorder.phi_nats is not None:
        yield GaugeMetricFamily("aura_integrated_information", "Of the last tick, in nats", recorder.phi_nats)


def no_degradation() -> Iterator[Metric]:
    """Yield the level of a run that cannot degrade."""
    yield GaugeMetricFamily("aura_degradation_level", "0 none to 4 emergency", 0)


def no_fallbacks() -> dict[str, Any]:
    """Return the same for the health report."""
    return {"level": "none", "active_fallbacks": []}
