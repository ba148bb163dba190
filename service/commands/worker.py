"""`aura worker`: one process of a flow on several hosts, such as a pod of a StatefulSet, under a supervisor of its own.

Where the peers are follows from two variables: NODE_ID (aura-cluster-2: number 2 of those named aura-cluster) and
CLUSTER_SIZE; in Kubernetes the replicas of the StatefulSet take the place of the latter as they change. The recovery
directory is one that all hosts see; number 0 opens it, the others wait for that. When a process dies, those of the other
hosts end too, and each host starts its own again. When the number changes all drain, and go on as that many.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import Out, Profile, Set, settings_of

__all__ = ["EXAMPLES", "command"]

EXAMPLES = "Example: NODE_ID=aura-0 CLUSTER_SIZE=3 aura worker --service aura --source kafka"
_PATIENCE_S = 60.0  # for the others, and for the first epoch with them


def command(  # noqa: PLR0917 (each is an option of the command line)
    profile: Profile = "flights",
    source: Annotated[str | None, typer.Option(help="kafka, simulate, or a file that all hosts see.")] = None,
    sink: Annotated[str, typer.Option(help="files, in a folder that all hosts see, or kafka.")] = "kafka",
    out: Out = None,
    recovery: Annotated[Path | None, typer.Option(help="Folder of the snapshots: all hosts see it.")] = None,
    service: Annotated[str, typer.Option(help="Domain of the peers; none: their names are enough.")] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of every peer.")] = 2101,
    grace: Annotated[float, typer.Option(help="Seconds that a stop may take.")] = 2.0,
    set_: Set = None,
) -> None:
    """Run one process of a flow on several hosts; NODE_ID and CLUSTER_SIZE say which of how many."""
    from flows.models import ModelFiles
    from service.cluster.hosts import identity, peers, shared_store
    from service.cluster.replicas import Replicas
    from service.cluster.rounds import Rounds
    from service.cluster.supervisor import Supervisor
    from service.cluster.worker import Work
    from service.console import Console
    from service.observe.front import cluster_front
    from service.observe.logs import configure_logs
    from service.observe.shared import Joined
    from service.observe.watching import FOLDER
    from service.recovery.store import with_directory

    name, number, size = identity(os.environ)
    replicas = Replicas(name, size, os.environ)
    given = {"input.source": source, "sink.directory": out, "recovery.directory": recovery}
    settings, console = with_directory(settings_of(profile, set_, given)), Console()
    configure_logs(settings.log)
    # Once for the process that runs and its spares, which are forked from this one.
    ModelFiles(settings).check()
    store = shared_store(settings, number, size, files=sink == "files")
    home, rounds = store.directory / f"node-{number}", Rounds(store.directory, number)
    home.mkdir(mode=0o700, exist_ok=True)
    console.step(
        "worker", f"{number} of {size}: {', '.join(peers(name, number, size, service, port))}; {home}"
    )

    def place(size: int) -> tuple[Sequence[int], list[str]] | None:
        if number >= size or not rounds.may_start(size):
            return None
        return [number], peers(name, number, size, service, port)

    work = Work(settings, sink, False, store)
    supervisor = Supervisor(
        work, size, place, partial(console.step, "worker"), shrink=False, collects=False, grace_s=grace, home=home,
        patience_s=_PATIENCE_S,
        wanted=lambda: replicas.count,
    )  # fmt: skip
    # Prometheus asks every host, so each shows its own process.
    own = Joined(store.directory / FOLDER, only=number)
    with cluster_front(settings, home, sink=sink, joined=own) as address:
        if address is not None:
            console.step("http", f"{address}/metrics and /health")
        supervisor.run()
