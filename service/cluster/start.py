"""Runs a flow under a supervisor until it is over: all of its processes on this host, or this host's one of several."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from flows.bridge import check_backends
from flows.models import ModelFiles
from flows.settings.root import Settings
from service.cluster.hosts import Loopback, identity, peers, shared_store
from service.cluster.replicas import Replicas
from service.cluster.rounds import Rounds
from service.cluster.supervisor import Supervisor
from service.cluster.worker import Work
from service.console import Console
from service.observe.front import cluster_front
from service.observe.logs import configure_logs
from service.observe.shared import Joined
from service.observe.watching import FOLDER
from service.recovery.store import Store, with_directory

__all__ = ["run_here", "run_member"]

_PATIENCE_S = 60.0  # for the others, and for the first epoch with them


def run_here(
    settings: Settings,
    *,
    sink: str,
    until_end: bool,
    processes: int,
    shrink: bool,
    grace_s: float,
    fresh: bool,
    console: Console,
) -> dict[str, Any] | None:
    """Run a flow as processes of this host; return the summary, or None if it was stopped before its end.

    Parameters
    ----------
    settings
        Validated; without a recovery directory it is in the folder of the results.
    sink, until_end
        As of `flows.assemble.assemble`.
    processes
        How many.
    shrink
        Whether it goes on with those that are left when one has died.
    grace_s
        How long a drain may take.
    fresh
        Drop what was done so far.
    console
        Who is told.

    Raises
    ------
    AuraError
        It does not run, and will not.
    """
    settings, files = with_directory(settings), sink == "files"
    check_backends(settings)
    ModelFiles(settings).check()  # here, once for all processes, which are forked from this one
    configure_logs(settings.log)
    store = Store.open(settings, writers=processes, files=files, fresh=fresh)
    console.step("recovery", _resumes(store))
    console.step("cluster", f"{processes} processes on this host, results to {sink}")
    supervisor = Supervisor(
        Work(settings, sink, until_end, store), processes, Loopback(), partial(console.step, "cluster"),
        shrink=shrink, grace_s=grace_s,
    )  # fmt: skip
    with cluster_front(settings, store.directory, sink=sink) as address:
        if address is not None:
            console.step("http", f"{address}/metrics and /health")
        found = supervisor.run()
    if found is None:
        console.step("stopped", "start it again to go on from the last snapshot")
        return None
    store.finish(files=files)
    console.results(found["summary"], found["places"])
    summary: dict[str, Any] = found["summary"]
    return summary


def run_member(
    settings: Settings,
    variables: Mapping[str, str],
    *,
    sink: str,
    domain: str,
    port: int,
    grace_s: float,
    console: Console,
) -> None:
    """Run this host's process of a flow on several hosts, until it is over or stopped.

    Parameters
    ----------
    settings
        Validated; all hosts see the recovery directory.
    variables
        NODE_ID and CLUSTER_SIZE, and those by which Kubernetes names its API server.
    sink
        `files` or `kafka`.
    domain, port
        Of the peers.
    grace_s
        How long a drain may take.
    console
        Who is told.

    Raises
    ------
    AuraError
        It does not run, and will not.
    """
    name, number, size = identity(variables)
    replicas, settings = Replicas(name, size, variables), with_directory(settings)
    configure_logs(settings.log)
    # Once for the process that runs and its spares, which are forked from this one.
    ModelFiles(settings).check()
    store = shared_store(settings, number, size, files=sink == "files")
    home, rounds = store.directory / f"node-{number}", Rounds(store.directory, number)
    home.mkdir(mode=0o700, exist_ok=True)
    console.step(
        "worker", f"{number} of {size}: {', '.join(peers(name, number, size, domain, port))}; {home}"
    )

    def place(size: int) -> tuple[Sequence[int], list[str]] | None:
        if number >= size or not rounds.may_start(size):
            return None
        return [number], peers(name, number, size, domain, port)

    supervisor = Supervisor(
        Work(settings, sink, False, store), size, place, partial(console.step, "worker"), shrink=False,
        collects=False, grace_s=grace_s, home=home, patience_s=_PATIENCE_S, wanted=lambda: replicas.count,
    )  # fmt: skip
    # Prometheus asks every host, so each shows its own process.
    own = Joined(store.directory / FOLDER, only=number)
    with cluster_front(settings, home, sink=sink, joined=own) as address:
        if address is not None:
            console.step("http", f"{address}/metrics and /health")
        supervisor.run()


def _resumes(store: Store) -> str:
    where = f"snapshots every {store.epoch.total_seconds():g} s in {store.directory}"
    return f"{where}; " + (f"goes on from epoch {store.resumed_at}" if store.resumed_at else "a new run")
