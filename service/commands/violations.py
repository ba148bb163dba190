"""`aura violations`: the input that violated an invariant, as an archive that `aura replay` runs again."""

import json
from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import AsJson, Out, Profile, Set, settings_of

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Take out what violated an invariant, to run it again.")


@app.callback()
def _group() -> None:
    """Keep `archive` a command of its own, although it is the only one."""


@app.command(
    epilog="Example: aura violations archive --to slices; aura replay --archive slices --flows safety --out again"
)
def archive(
    *,
    to: Annotated[Path, typer.Option(help="Folder of the archive; it must not be there.")],
    out: Out = None,
    invariant: Annotated[str | None, typer.Option(help="Only of this invariant.")] = None,
    agent: Annotated[int | None, typer.Option(help="Only of the agent with this id.")] = None,
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Write the slices of violations.parquet, each the agent's event before and the offending one, as an archive."""
    from service.slices import archive_slices

    settings = settings_of(profile, set_, {"sink.directory": out})
    summary = archive_slices(
        settings.sink.directory / "violations.parquet", to, invariant=invariant, agent=agent
    )
    said = (
        f"{summary['violations']} violations, {summary['events']} events in {to}: aura replay --archive {to}"
    )
    print(json.dumps(summary) if as_json else said)
