"""`aura worker`: one process of a flow on several hosts, such as a pod of a StatefulSet, under a supervisor of its own.

Where the peers are follows from two variables: NODE_ID (aura-cluster-2: number 2 of those named aura-cluster) and
CLUSTER_SIZE; in Kubernetes the replicas of the StatefulSet take the place of the latter as they change. The recovery
directory is one that all hosts see; number 0 opens it, the others wait for that. When a process dies, those of the other
hosts end too, and each host starts its own again. When the number changes all drain, and go on as that many.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import Out, Profile, Set, settings_of

__all__ = ["EXAMPLES", "command"]

EXAMPLES = "Example: NODE_ID=aura-0 CLUSTER_SIZE=3 aura worker --service aura --source kafka"


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
    from service.cluster.start import run_member
    from service.console import Console

    given = {"input.source": source, "sink.directory": out, "recovery.directory": recovery}
    run_member(
        settings_of(profile, set_, given), os.environ, sink=sink, domain=service, port=port, grace_s=grace,
        console=Console(),
    )  # fmt: skip
