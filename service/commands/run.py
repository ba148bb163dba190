"""`aura run`: the main job, from a source to results."""

import json
from typing import Any

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

__all__ = ["EXAMPLES", "command"]

EXAMPLES = (
    "Examples: aura run | aura run --profile reference | aura run --source flights.csv --out results | "
    "aura run --source kafka --sink kafka --until-end | aura run --flows all"
)


def command(  # noqa: PLR0917 (each is an option of the command line)
    profile: Profile = "flights",
    source: Source = None,
    sink: Sink = "files",
    out: Out = None,
    flows: Flows = None,
    backend: Backend = None,
    as_is: AsIs = False,
    until_end: UntilEnd = False,
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
