"""The command line `aura`: every command, and how its failures end.

Exit codes: 0 done, 1 the run failed, 2 bad usage or configuration.
"""

import os
import sys

import typer

from kernels.errors import AuraError, ConfigError
from service import (
    archive,
    cluster,
    collect,
    config,
    dashboard_command,
    deadletters_command,
    demo,
    fields,
    hosts,
    init,
    models_command,
    produce_command,
    query,
    replay,
    run,
    topics_command,
    verify,
    violations_command,
)
from service.health import doctor
from service.observe import profiler

# Scale by processes: a second thread gains scoring nothing, and processes that are forked want few. Before numpy loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Telemetry of agent populations as a stream: exact statistics per region and window, scores, alerts.",
)
app.command("produce", epilog="Examples: aura produce | aura produce --source flights.csv --speed 60")(
    produce_command.command
)
app.command("simulate", epilog="Example: aura simulate --agents 100000 --speed 1 --set input.partitions=8")(
    produce_command.simulate
)
app.add_typer(cluster.app, name="cluster")
app.command(
    "worker", epilog="Example: NODE_ID=aura-0 CLUSTER_SIZE=3 aura worker --service aura --source kafka"
)(hosts.command)
app.add_typer(config.app, name="config")
app.add_typer(query.app, name="query")
app.add_typer(deadletters_command.app, name="deadletters")
app.add_typer(topics_command.app, name="topics")
app.add_typer(models_command.app, name="models")
app.add_typer(violations_command.app, name="violations")
app.command("init", epilog=init.EXAMPLES)(init.command)
app.command("run", epilog=run.EXAMPLES)(run.command)
app.command("dashboard", epilog=dashboard_command.EXAMPLES)(dashboard_command.command)
app.command("demo", epilog=demo.EXAMPLES)(demo.command)
app.command("fields", epilog=fields.EXAMPLES)(fields.command)
app.command("archive", epilog=archive.EXAMPLES)(archive.command)
app.command("replay", epilog=replay.EXAMPLES)(replay.command)
app.command("verify", epilog=verify.EXAMPLES)(verify.command)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.command)
app.command("profile", epilog=profiler.EXAMPLES)(profiler.command)
app.command("collect", epilog="Example: aura collect --out out")(collect.command)


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
