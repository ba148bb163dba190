"""`aura cluster`: a flow as several processes on this host under a supervisor, and what to ask of it."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from kernels.errors import AuraError, ConfigError
from service.cluster.status import ask, is_running, read_status
from service.commands.options import (
    AsIs,
    AsJson,
    Backend,
    Flows,
    Out,
    Profile,
    Set,
    Sink,
    Source,
    UntilEnd,
    flows_of,
    settings_of,
)

__all__ = ["EXAMPLES", "app"]

EXAMPLES = (
    "Examples: aura cluster -n 3 --profile distributed | aura cluster --source kafka --sink kafka -n 4 | "
    "aura cluster scale 2 | aura cluster status | aura cluster stop"
)
_ANSWER_S = 60.0  # a drain and a start take a second, more if much is to be written
_LOOK_S = 0.02

app = typer.Typer(help="Run the flows as processes that the death of one does not end.", epilog=EXAMPLES)

Directory = Annotated[Path, typer.Option("--recovery", help="Recovery directory of the cluster.")]
_DEFAULT = Path("out/.recovery")


@app.callback(invoke_without_command=True, epilog=EXAMPLES)
def run(  # noqa: PLR0917 (each is an option of the command line)
    context: typer.Context,
    processes: Annotated[int, typer.Option("--processes", "-n", min=1, max=256, help="How many.")] = 3,
    profile: Profile = "flights",
    source: Source = None,
    sink: Sink = "files",
    out: Out = None,
    flows: Flows = None,
    backend: Backend = None,
    as_is: AsIs = False,
    until_end: UntilEnd = False,
    recovery: Annotated[
        Path | None,
        typer.Option(help="Folder of the snapshots; by default .recovery in that of the results."),
    ] = None,
    restart: Annotated[str, typer.Option(help="After a death: left or all of the processes.")] = "left",
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop what was done so far; start over.")] = False,
    grace: Annotated[float, typer.Option(help="Seconds that a stop may take.")] = 10.0,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Run the flows as several processes on this host; when one dies, go on from the last snapshot."""
    if context.invoked_subcommand is not None:
        return
    if restart not in ("left", "all"):
        raise ConfigError(f"--restart {restart!r}: allowed are left and all")
    from service.cluster.start import run_here
    from service.console import Console

    given = {"input.source": source, "sink.directory": out, "kernels.backend": backend, "input.as_is": as_is}
    given |= {"flows": flows_of(flows), "recovery.directory": recovery}
    found = run_here(
        settings_of(profile, set_, given), sink=sink, until_end=until_end, processes=processes, fresh=fresh,
        shrink=restart == "left", grace_s=grace, console=Console(quiet=as_json),
    )  # fmt: skip
    if found is not None and as_json:
        print(json.dumps(found))


@app.command(epilog="Example: aura cluster scale 2")
def scale(
    processes: Annotated[int, typer.Argument(min=1, max=256, help="How many there are to be.")],
    recovery: Directory = _DEFAULT,
) -> None:
    """Drain a running cluster and let it go on as another number of processes."""
    ask(recovery, f"scale {processes}")
    _await(recovery, lambda found: found["state"] == "running" and found["nodes"] == processes)
    print(f"{processes} nodes up")


@app.command(epilog="Example: aura cluster status --json")
def status(recovery: Directory = _DEFAULT, as_json: AsJson = False) -> None:
    """Print how many processes are up; exit with 1 if the cluster is not running."""
    found = read_status(recovery)
    running = is_running(recovery)
    if not running:
        found |= {"nodes": 0, "processes": [], "state": _ended(found["state"])}
    if as_json:
        print(json.dumps(found))
    else:
        took = (
            f", the last recovery took {found['recovery_s']:.2f} s" if found["recovery_s"] is not None else ""
        )
        print(
            f"{found['state']}: {found['nodes']} of {found['wanted']} nodes up, {found['restarts']} restarts{took}"
        )
        print(f"last failure: {found['failure']}" if found["failure"] else "no failure")
    if not running:
        raise typer.Exit(1)


@app.command(epilog="Example: aura cluster stop")
def stop(recovery: Directory = _DEFAULT) -> None:
    """Drain a running cluster; what is left to do stays in its recovery store."""
    ask(recovery, "stop")
    _await(recovery, lambda found: found["state"] in ("stopped", "ended"))
    print("stopped")


def _ended(state: str) -> str:
    return state if state in ("stopped", "ended", "failed") else f"gone while {state}"


def _await(directory: Path, reached: Any) -> None:
    """Wait until the status of a cluster is what was asked for."""
    end_s = time.monotonic() + _ANSWER_S
    while not reached(found := read_status(directory)):
        if not is_running(directory):
            raise AuraError(
                f"the cluster in {directory} has ended: {found['state']} {found['failure']}".rstrip()
            )
        if time.monotonic() > end_s:
            raise AuraError(f"the cluster in {directory} is {found['state']} after {_ANSWER_S:g} s")
        time.sleep(_LOOK_S)
