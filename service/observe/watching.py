"""What is switched on for a process that runs a flow: the recorder, and who shows what it records. Off, nothing is."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from prometheus_client import generate_latest

from flows.assemble import Assembled
from flows.settings.root import Settings
from operators.wrap import wrap
from service.health.running import Running
from service.observe.http import application, bind, serving
from service.observe.metrics import Metrics, memory_limit_bytes, registry_of
from service.observe.recorder import Recorder
from service.observe.shared import publishing

__all__ = ["FOLDER", "watched", "watched_member"]

FOLDER = "metrics"
"""In the recovery directory of a cluster."""


@contextmanager
def watched(settings: Settings, made: Assembled, *, sink: str) -> Iterator[str | None]:
    """Record the flow and serve what is recorded while the block runs, if `http.port` is set; yield the address."""
    http = settings.http
    if http.port is None:
        yield None
        return
    recorder, metrics = _recorded(settings, made)
    registry = registry_of(metrics)
    token = http.token.get_secret_value() if http.token is not None else None
    app = application(partial(generate_latest, registry), Running(settings, recorder, sink=sink), token)
    listener = bind(http)
    with serving(app, listener):
        yield f"http://{http.host}:{listener.getsockname()[1]}"


@contextmanager
def watched_member(settings: Settings, made: Assembled, directory: Path, process: int) -> Iterator[None]:
    """Record the flow of one process of a cluster, whose supervisor serves what `directory` tells of all of them."""
    if settings.http.port is None:
        yield
        return
    _, metrics = _recorded(settings, made)
    with publishing(registry_of(metrics), directory / FOLDER, process):
        yield


def _recorded(settings: Settings, made: Assembled) -> tuple[Recorder, Metrics]:
    recorder = Recorder({window.name: window.lateness_us for window in settings.windows_used})
    wrap(made.flow, recorder.around)
    recorder.watch_gc()
    limit_bytes = memory_limit_bytes(settings.limits.memory_gib)
    return recorder, Metrics(recorder, made.plan, limit_bytes=limit_bytes)
