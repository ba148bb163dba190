"""`aura run`: the main job, from a source to results."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from service.options import AsJson, Flows, Profile, Set, flows_of, settings_of

__all__ = ["EXAMPLES", "command"]

EXAMPLES = (
    "Examples: aura run | aura run --profile reference | aura run --source flights.csv --out results | "
    "aura run --source kafka --sink kafka --until-end | aura run --flows all"
)


def command(  # noqa: PLR0917 (each is an option of the command line)
    profile: Profile = "flights",
    source: Annotated[
        str | None, typer.Option(help="kafka, simulate, or a .parquet, .csv or .jsonl file.")
    ] = None,
    sink: Annotated[str, typer.Option(help="files or kafka.")] = "files",
    out: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    flows: Flows = None,
    backend: Annotated[str | None, typer.Option(help="numpy, onnx-cpu, onnx-cuda or auto.")] = None,
    as_is: Annotated[bool, typer.Option("--as-is", help="Read the file in its own order.")] = False,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at what is the end of the topic now.")
    ] = False,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Run the flows over a source; a bounded one ends with a table of what came out and where."""
    from service.console import Console
    from service.job import Job

    given = {"input.source": source, "sink.directory": out, "kernels.backend": backend, "input.as_is": as_is}
    given |= {"flows": flows_of(flows)}
    settings = settings_of(profile, set_, given)
    console = Console(quiet=as_json)
    summary: dict[str, Any] = Job(settings, sink=sink, until_end=until_end, console=console).run()
    if as_json:
        print(json.dumps(summary))
