"""`aura worker`: one process of a flow on several hosts, such as a pod of a StatefulSet, under a supervisor of its own.

Where the peers are follows from two variables: NODE_ID (aura-cluster-2: number 2 of those named aura-cluster) and
CLUSTER_SIZE. The recovery directory is one that all hosts see; number 0 opens it, the others wait for that. When a
process dies, those of the other hosts end too, and each host starts its own again.
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

if TYPE_CHECKING:
    from flows.settings import Settings
    from service.recovery import Store

__all__ = ["command", "peers"]

_NODE = re.compile(r"(?P<name>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)-(?P<number>\d{1,3})")
_LOOK_S = 0.2
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
    from service.observe.logs import configure_logs
    from service.supervisor import Supervisor
    from service.worker import Work

    number, addresses = peers(os.environ, service=service, port=port)
    given = {"input.source": source, "sink.directory": out, "recovery.directory": recovery}
    settings, console = with_directory(settings_of(profile, set_, given)), Console()
    configure_logs(settings.log)
    ModelFiles(
        settings
    ).check()  # once for the process that runs and its spares, which are forked from this one
    store = _store(settings, number, len(addresses), files=sink == "files")
    console.step("worker", f"{number} of {len(addresses)}: {', '.join(addresses)}; {store.directory}")

    def place(_: int) -> tuple[Sequence[int], list[str]]:
        return [number], addresses

    work = Work(settings, sink, False, store)
    Supervisor(work, 1, place, partial(console.step, "worker"), collects=False, grace_s=grace).run()


def peers(variables: Mapping[str, str], *, service: str, port: int) -> tuple[int, list[str]]:
    """Return the number of this process, and the addresses of all: its own is every interface of its host.

    Raises
    ------
    ConfigError
        NODE_ID or CLUSTER_SIZE is missing or says nothing.

    Examples
    --------
    >>> peers({"NODE_ID": "aura-1", "CLUSTER_SIZE": "3"}, service="aura", port=2101)
    (1, ['aura-0.aura:2101', '0.0.0.0:2101', 'aura-2.aura:2101'])
    """
    node, size = variables.get("NODE_ID", ""), variables.get("CLUSTER_SIZE", "")
    match = _NODE.fullmatch(node)
    if match is None or not size.isdecimal() or not int(match["number"]) < int(size):
        raise ConfigError(
            f"NODE_ID={node!r}, CLUSTER_SIZE={size!r}: expected a name with a number below the size",
            "For example NODE_ID=aura-cluster-2 CLUSTER_SIZE=3, as a StatefulSet names its pods",
        )
    number, domain = int(match["number"]), f".{service}" if service else ""
    names = [f"{match['name']}-{k}{domain}" for k in range(int(size))]
    names[number] = "0.0.0.0"  # peers come from elsewhere; a network policy keeps others out
    return number, [f"{name}:{port}" for name in names]


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
