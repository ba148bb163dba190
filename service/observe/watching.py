"""What is switched on for a process that runs a flow: traces, and the recorder with who shows what it records. Off, nothing is."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from prometheus_client import generate_latest

from flows.assemble import Assembled
from flows.settings.root import Settings
from operators.wrap import wrap
from service.degrade.governor import Governor
from service.feed import telling
from service.health.running import Running
from service.observe.http import address_of, application, bind, serving
from service.observe.metrics import Metrics, memory_limit_bytes, registry_of
from service.observe.recorder import Recorder
from service.observe.shared import publishing
from service.observe.sources import bridge_metrics, domain_metrics, no_degradation, no_fallbacks

__all__ = ["FOLDER", "watched", "watched_member"]

FOLDER = "metrics"
"""In the recovery directory of a cluster."""


@contextmanager
def watched(
    settings: Settings, made: Assembled, *, sink: str, governor: Governor | None = None
) -> Iterator[str | None]:
    """Trace, record, tell and serve what `settings` asks for while the block runs; yield the server's address, if there is one.

    A governor is told of the flow.
    """
    with _recording(settings, made, sink, 0, governor) as found:
        if found is None or settings.http.port is None:
            yield None
            return
        metrics, health = found
        text = partial(generate_latest, registry_of(metrics))
        app = application(text, health, settings.http.plain_token)
        listener = bind(settings.http)
        with serving(app, listener):
            yield address_of(listener)


@contextmanager
def watched_member(
    settings: Settings,
    made: Assembled,
    directory: Path,
    process: int,
    *,
    sink: str,
    governor: Governor | None = None,
) -> Iterator[None]:
    """Do the same for one process of a cluster, whose supervisor serves what `directory` tells of all of them."""
    with _recording(settings, made, sink, process, governor) as found:
        if found is None or settings.http.port is None:
            yield
            return
        with publishing(registry_of(found[0]), directory / FOLDER, process):
            yield


@contextmanager
def _recording(
    settings: Settings, made: Assembled, sink: str, process: int, governor: Governor | None
) -> Iterator[tuple[Metrics, Running] | None]:
    """Trace, record and tell while the block runs, and yield what was recorded; None where nobody asks for it."""
    with traced(settings, made):
        if settings.http.port is None and governor is None and not settings.dashboard.enabled:
            yield None
            return
        recorder, metrics = recorded(settings, made, governor)
        more = governor.report if governor else no_fallbacks
        health = Running(settings, recorder, made.plan, sink=sink, more=more)
        if governor is not None:
            governor.health = health
        to_topic = "kafka" in (settings.input.source, sink) and governor is None  # which tells it by itself
        with telling(settings, made, process, health, to_topic=to_topic):
            try:
                yield metrics, health
            finally:
                health.forget()


@contextmanager
def traced(settings: Settings, made: Assembled) -> Iterator[None]:
    """Trace the flow while the block runs, if `tracing.endpoint` is set."""
    if settings.tracing.endpoint is None:
        yield
        return
    from service.observe.tracing import tracing  # half a second of imports

    with tracing(settings.tracing, role="flow") as tracer:
        wrap(made.flow, tracer.around)
        yield


def recorded(settings: Settings, made: Assembled, governor: Governor | None) -> tuple[Recorder, Metrics]:
    """Return the recorder of a flow, which is in it from now on, and its metrics."""
    recorder = Recorder({window.name: window.lateness_us for window in settings.windows_used})
    wrap(made.flow, recorder.around)
    recorder.watch_gc()
    if governor is not None:
        governor.attach(recorder, made.plan)
    sources = (bridge_metrics(made.plan.backend.calls), partial(domain_metrics, recorder))
    limit_bytes = memory_limit_bytes(settings.limits.memory_gib)
    level = governor.metrics if governor is not None else no_degradation
    return recorder, Metrics(recorder, made.plan, limit_bytes=limit_bytes, sources=(*sources, level))
