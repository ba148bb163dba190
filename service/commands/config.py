"""`aura config`: the effective configuration as TOML, with where each value came from."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from service.commands.options import AsJson, Profile, Set, loaded_of

if TYPE_CHECKING:
    from flows.settings import Loaded

__all__ = ["app", "as_toml"]

_ORIGIN_COLUMN = 48  # origins stand below each other; longer values push theirs out
_MASK = "**********"  # what pydantic writes for a secret

app = typer.Typer(no_args_is_help=True, help="Show the effective configuration.")


@app.callback()
def _group() -> None:
    """Keep `show` a command of its own: with one command, Typer would drop its name."""


@app.command(
    epilog="Examples: aura config show | aura config show --profile my.toml --set input.partitions=4 --json",
)
def show(
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Print what a run would use: a TOML file to start your own from, passwords left out."""
    from rich.console import Console

    loaded = loaded_of(profile, set_)
    if as_json:
        print(
            json.dumps({"settings": loaded.settings.model_dump(mode="json"), "provenance": loaded.provenance})
        )
        return
    console = Console(highlight=False)
    for text, origin in as_toml(loaded):
        style = "bold cyan" if text.startswith("[") else ""
        value = text.ljust(_ORIGIN_COLUMN) if origin else text
        console.print(value, style=style, markup=False, end="", soft_wrap=True)
        console.print(f" # {origin}" if origin else "", style=_style(origin), markup=False, soft_wrap=True)


def _style(origin: str) -> str:
    return "dim" if origin == "default" else "green"


def as_toml(loaded: "Loaded") -> Iterator[tuple[str, str]]:
    """Yield the lines of the effective configuration as TOML, each with the origin of its value or an empty text."""
    return _table(loaded.settings.model_dump(mode="json"), "", loaded.provenance)


def _table(values: Mapping[str, Any], above: str, provenance: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a table: plain values first, since in TOML what follows a header belongs to it."""
    for name, value in values.items():
        if not _is_table(value) and not _is_tables(value):
            yield _assignment(name, value), provenance.get(above + name, "")
    for name, value in values.items():
        key = above + name
        if _is_table(value):
            yield from _headed(f"[{key}]", "", value, f"{key}.", provenance)
        elif _is_tables(value):
            for table in value:
                yield from _headed(f"[[{key}]]", provenance.get(key, ""), table, f"{key}.", provenance)


def _assignment(name: str, value: Any) -> str:
    if value is None:
        return f"# {name} is not set"
    if value == _MASK:
        return f"# {name} is set and kept secret"
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"


def _headed(
    header: str, origin: str, table: Mapping[str, Any], above: str, provenance: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    lines = list(_table(table, above, provenance))
    if lines and lines[0][0]:  # the header of a table that holds nothing but tables goes without saying
        yield "", ""
        yield header, origin
    yield from lines


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
