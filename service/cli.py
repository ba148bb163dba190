"""The command line `aura`: every command, and how its failures end.

Exit codes: 0 done, 1 the run failed, 2 bad usage or configuration.
"""

import codecs
import os
import sys

import typer

from kernels.errors import AuraError, ConfigError
from service.commands import (
    archive,
    cluster,
    collect,
    config,
    dashboard,
    deadletters,
    demo,
    doctor,
    fields,
    init,
    models,
    produce,
    profile,
    query,
    replay,
    run,
    topics,
    verify,
    violations,
    worker,
)

# Scale by processes: a second thread gains scoring nothing, and processes that are forked want few. Before numpy loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The codec of host names, which Python loads with the first one that is looked up: a process that is forked while a thread does so
# (the one that asks Kubernetes for the replicas) would have half of it, and find no broker. Before any thread.
codecs.lookup("idna")

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Telemetry of agent populations as a stream: exact statistics per region and window, scores, alerts.",
)
for name, module in {
    "run": run,
    "dashboard": dashboard,
    "demo": demo,
    "init": init,
    "produce": produce,
    "fields": fields,
    "archive": archive,
    "replay": replay,
    "verify": verify,
    "doctor": doctor,
    "profile": profile,
    "worker": worker,
    "collect": collect,
}.items():
    app.command(name, epilog=module.EXAMPLES)(module.command)
app.command("simulate", epilog=produce.EXAMPLES_SIMULATE)(produce.simulate)
for name, group in {
    "cluster": cluster,
    "config": config,
    "query": query,
    "deadletters": deadletters,
    "topics": topics,
    "models": models,
    "violations": violations,
}.items():
    app.add_typer(group.app, name=name)


def main() -> None:
    """Run the command line; an expected failure is one message on standard error."""
    try:
        app()
    except AuraError as error:
        print(f"aura: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"      {error.hint}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except OSError as error:
        print(
            f"aura: {error.strerror}: {error.filename}" if error.filename else f"aura: {error}",
            file=sys.stderr,
        )
        sys.exit(1)
