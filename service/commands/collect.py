"""`aura collect`: the parts of a flow that ran under `python -m bytewax.run`, or that was stopped, as result files."""

import json
from typing import Annotated

import typer

from kernels.errors import AuraError
from service.commands.options import AsJson, Out, Profile, Set, settings_of

__all__ = ["EXAMPLES", "command"]

EXAMPLES = "Example: aura collect --out out"


def command(
    source: Annotated[str | None, typer.Option(help="What the run read.")] = None,
    out: Out = None,
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Put the parts of a flow that ran under `python -m bytewax.run`, or that was stopped, together."""
    from flows.assemble import assemble
    from operators.decisions import DecisionLog
    from operators.file_sink import PARTS, clear_parts
    from service.collect import collect, places
    from service.console import Console
    from service.degrade.governed import log_of

    settings = settings_of(profile, set_, {"input.source": source, "sink.directory": out})
    directory = settings.sink.directory
    if not (directory / PARTS).is_dir():
        raise AuraError(f"{directory} holds no parts of a run", "Name the folder with --out")
    log = DecisionLog(log_of(settings), settings.border_us, obeyed=True)
    made = assemble(settings, decisions=log if log.path.exists() else None)
    summary = collect(made, directory, seconds=0.0)
    clear_parts(directory)
    if as_json:
        print(json.dumps(summary))
    else:
        Console().results(summary, places(made, directory))
