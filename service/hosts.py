"""`aura worker`: one process of a flow on several hosts, such as a pod of a StatefulSet, under a supervisor of its own.

Where the peers are follows from two variables: NODE_ID (aura-cluster-2: number 2 of those named aura-cluster) and
CLUSTER_SIZE; in Kubernetes the replicas of the StatefulSet take the place of the latter as they change. The recovery
directory is one that all hosts see; number 0 opens it, the others wait for that. When a process dies, those of the other
hosts end too, and each host starts its own again. When the number changes all drain, and go on as that many.
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernels.errors import AuraError, ConfigError
from service.options import Profile, Set, settings_of
from service.replicas import Replicas
from service.rounds import Rounds

if TYPE_CHECKING:
    from flows.settings import Settings
    from service.recovery import Store

__all__ = ["command", "identity", "peers"]

_NODE = re.compile(r"(?P<name>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)-(?P<number>\d{1,3})")
_LOOK_S = 0.2
_PATIENCE_S = 60.0  # for the others, and for the first epoch with them
_STORE_S = 300.0  # number 0 may still be pulling its image


def command(  # noqa: PLR0917 (each is an option of the command line)
    profile: Profile = "flights",
    source: Annotated[str | None, typer.Option(help="kafka, simulate, or a file that all hosts see.")] = None,
    sink: Annotated[str, typer.Option(help="files, in a folder that all hosts see, or kafka.")] = "kafka",
    out: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    recovery: Annotated[Path | None, typer.Option(help="Folder of the snapshots: all hosts see it.")] = None,
    service: Annotated[str, typer.Option(help="Domain of the peers; none: their names are enough.")] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of every peer.")] = 2101,
    grace: Annotated[float, typer.Option(help="Seconds that a stop may take.")] = 2.0,
    set_: Set = None,
) -> None:
    """Run one process of a flow on several hosts; NODE_ID and CLUSTER_SIZE say which of how many."""
    from flows.models import ModelFiles
    from service.cluster import with_directory
    from service.console import Console
    from service.observe.front import cluster_front
    from service.observe.logs import configure_logs
    from service.observe.shared import Joined
    from service.observe.watching import FOLDER
    from service.supervisor import Supervisor
    from service.worker import Work

    name, number, size = identity(os.environ)
    replicas = Replicas(name, size, os.environ)
    given = {"input.source": source, "sink.directory": out, "recovery.directory": recovery}
    settings, console = with_directory(settings_of(profile, set_, given)), Console()
    configure_logs(settings.log)
    ModelFiles(
        settings
    ).check()  # once for the process that runs and its spares, which are forked from this one
    store = _store(settings, number, size, files=sink == "files")
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


def identity(variables: Mapping[str, str]) -> tuple[str, int, int]:
    """Return what the processes are named, the number of this one, and how many there are.

    Raises
    ------
    ConfigError
        NODE_ID or CLUSTER_SIZE is missing or says nothing.

    Examples
    --------
    >>> identity({"NODE_ID": "aura-cluster-2", "CLUSTER_SIZE": "3"})
    ('aura-cluster', 2, 3)
    """
    node, size = variables.get("NODE_ID", ""), variables.get("CLUSTER_SIZE", "")
    match = _NODE.fullmatch(node)
    if match is None or not size.isdecimal() or int(size) < 1:
        raise ConfigError(
            f"NODE_ID={node!r}, CLUSTER_SIZE={size!r}: expected a name with a number, and how many there are",
            "For example NODE_ID=aura-cluster-2 CLUSTER_SIZE=3, as a StatefulSet names its pods",
        )
    return match["name"], int(match["number"]), int(size)


def peers(name: str, number: int, size: int, service: str, port: int) -> list[str]:
    """Return the addresses of all processes: that of number `number`, itself, is every interface of its host.

    Examples
    --------
    >>> peers("aura", 1, 3, "mesh", 2101)
    ['aura-0.mesh:2101', '0.0.0.0:2101', 'aura-2.mesh:2101']
    """
    domain = f".{service}" if service else ""
    names = [f"{name}-{k}{domain}" for k in range(size)]
    names[number] = "0.0.0.0"  # peers come from elsewhere; a network policy keeps others out
    return [f"{each}:{port}" for each in names]


def _store(settings: "Settings", number: int, size: int, *, files: bool) -> "Store":
    from service.recovery import Store

    if number == 0:
        return Store.open(settings, writers=size, files=files)
    end_s = time.monotonic() + _STORE_S
    while True:
        try:
            return Store.attach(settings)
        except ConfigError:
            raise
        except AuraError:
            if time.monotonic() > end_s:
                raise
        time.sleep(_LOOK_S)
