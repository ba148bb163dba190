"""The server of a cluster's metrics and health: a process of its own, since the supervisor forks and so has no threads."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from flows.settings.root import Settings
from kernels.errors import AuraError
from service.cluster.processes import Channel, Process
from service.cluster.status import Status, read_status
from service.health.broker import broker_checks
from service.health.checks import check_clock, check_disk, check_memory, check_models
from service.health.component import Component, State, checked, report
from service.observe.http import address_of, application, bind, serve
from service.observe.shared import Joined
from service.observe.watching import FOLDER

__all__ = ["cluster_front", "cluster_health"]


@contextmanager
def cluster_front(
    settings: Settings, directory: Path, *, sink: str, joined: Joined | None = None
) -> Iterator[str | None]:
    """Serve while the block runs, if `http.port` is set; yield the address.

    Parameters
    ----------
    settings, sink
        Of the run.
    directory
        Where the supervisor writes its status.
    joined
        The metrics to show; None: those of all processes that publish in `directory`.
    """
    if settings.http.port is None:
        yield None
        return
    listener = bind(settings.http)
    shown = joined or Joined(directory / FOLDER)
    process = Process(partial(_serve, settings, directory, sink, shown, listener))
    try:
        yield address_of(listener)
    finally:
        process.kill()
        listener.close()


def _serve(
    settings: Settings, directory: Path, sink: str, joined: Joined, listener: socket.socket, _: Channel
) -> None:
    registry = CollectorRegistry()
    registry.register(joined)
    registry.register(_Nodes(directory))
    health = partial(cluster_health, settings, directory, sink=sink)
    serve(application(partial(generate_latest, registry), health, settings.http.plain_token), listener)


class _Nodes(Collector):
    """What the supervisor's status says, as metrics."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """Yield how many processes are up, are to be, and have been started again."""
        status = _status(self._directory)
        yield GaugeMetricFamily("aura_cluster_nodes", "Processes that are up", status["nodes"])
        yield GaugeMetricFamily("aura_cluster_nodes_wanted", "Processes that are to be up", status["wanted"])
        yield CounterMetricFamily("aura_cluster_restarts", "Starts after a failure", status["restarts"])


def cluster_health(settings: Settings, directory: Path, *, sink: str) -> Mapping[str, Any]:
    """Return the report on a cluster whose supervisor writes its status into `directory`."""
    status = _status(directory)
    components = [
        _nodes(status),
        checked("disk", lambda: check_disk(settings), required=True),
        checked("memory", lambda: check_memory(settings), required=True),
        checked("models", lambda: check_models(settings), required=bool(settings.models)),
        checked("clock", check_clock, required=False),
    ]
    if "kafka" in (settings.input.source, sink):
        broker, topics = broker_checks(settings)
        components += [checked("broker", broker, required=True), checked("topics", topics, required=True)]
    keys = ("state", "nodes", "wanted", "restarts", "recovery_s", "epoch")
    return report(components, cluster={key: status[key] for key in keys})


def _status(directory: Path) -> Mapping[str, Any]:
    """Return what the supervisor wrote last; before it has written anything, that it starts."""
    try:
        return read_status(directory)
    except AuraError:
        return asdict(Status())


def _nodes(status: Mapping[str, Any]) -> Component:
    nodes, wanted, measured = status["nodes"], status["wanted"], {"nodes": float(status["nodes"])}
    said = f"{status['state']}, {nodes} of {wanted} nodes up"
    if status["state"] == "running" and nodes == wanted:
        return Component("flow", "healthy", True, said, performance=measured)
    state: State = "failed" if nodes == 0 else "degraded"
    detail = f"{said}; {status['failure']}".rstrip("; ")
    todo = "It starts again by itself; `aura cluster status` tells the last failure"
    return Component("flow", state, True, detail, todo, performance=measured)
