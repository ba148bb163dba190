"""`aura topics`: bring the declared topics about on a cluster."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import AsJson, Profile, Set, settings_of

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Declare topics.")


@app.callback()
def _group() -> None:
    """Keep `apply` a command of its own: with one command, Typer would drop its name."""


@app.command(epilog="Examples: aura topics apply | aura topics apply --set kafka.bootstrap=broker:9092")
def apply(
    declared: Annotated[
        Path | None, typer.Option("--file", help="The declaration (infra/kafka/topics.toml).")
    ] = None,
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing, correct those that differ, and print what was changed."""
    from service import topics
    from service.declared_topics import DECLARED, load_topics

    kafka = settings_of(profile, set_).kafka
    wanted = load_topics(declared or DECLARED)
    changes = topics.apply(kafka.client_options(), wanted, prefix=kafka.prefix)
    if as_json:
        print(json.dumps([asdict(change) for change in changes]))
        return
    for change in changes:
        print(change)
    print(f"{len(wanted)} topics declared, {len(changes)} differences made up")
