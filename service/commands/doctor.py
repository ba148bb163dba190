"""`aura doctor`: whether everything that a configuration needs is there and works; what can run; what to do.

Exit codes: 0 full or degraded, 1 emergency: what is configured cannot run.
"""

import json
from typing import Annotated, Any

import typer

from service.commands.options import AsJson, Profile, Set, settings_of

__all__ = ["EXAMPLES", "command"]

EXAMPLES = "Examples: aura doctor | aura doctor --source kafka --sink kafka | aura doctor --json"
_SIGNS = {"healthy": "[green]healthy[/]", "degraded": "[yellow]degraded[/]", "failed": "[red]failed[/]"}


def command(
    profile: Profile = "flights",
    source: Annotated[
        str | None, typer.Option(help="What a run would read: kafka, simulate, or a file.")
    ] = None,
    sink: Annotated[str, typer.Option(help="What it would write: files or kafka.")] = "files",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Examine everything that a run would need; say what can run, and of each problem what to do."""
    from service.health.doctor import examine

    settings = settings_of(profile, set_, {"input.source": source})
    found = examine(settings, sink=sink)
    if as_json:
        print(json.dumps(found))
    else:
        _show(found)
    raise typer.Exit(1 if found["mode"] == "emergency" else 0)


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=150)
    table = Table(title=f"mode {found['mode']}, {found['overall']}", title_justify="left")
    for column in ("component", "state", "required", "found", "measured"):
        table.add_column(column, overflow="fold")
    for each in found["components"]:
        measured = ", ".join(f"{name} {value:.4g}" for name, value in each["performance"].items())
        said = "; ".join(filter(None, [each["detail"], ", ".join(each["capabilities"])]))
        table.add_row(each["name"], _SIGNS[each["state"]], "yes" if each["required"] else "", said, measured)
    console.print(table)
    for each in found["components"]:
        if each["state"] != "healthy" and each["todo"]:
            console.print(f"{each['name']}: {each['todo']}", soft_wrap=True)
    runs = [f"{name}: {'yes' if can else 'no'}" for name, can in found["runs"].items()]
    console.print("can run: " + "; ".join(runs), soft_wrap=True)
