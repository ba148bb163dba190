"""`aura doctor`: whether everything that a configuration needs is there and works; what can run; what to do.

Exit codes: 0 full or degraded, 1 emergency: what is configured cannot run.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.options import AsJson, Profile, Set, settings_of

if TYPE_CHECKING:
    from flows.settings import Settings
    from service.health.component import Component

__all__ = ["EXAMPLES", "command", "examine"]

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
    settings = settings_of(profile, set_, {"input.source": source})
    found = examine(settings, sink=sink)
    if as_json:
        print(json.dumps(found))
    else:
        _show(found)
    raise typer.Exit(1 if found["mode"] == "emergency" else 0)


def examine(settings: "Settings", *, sink: str) -> dict[str, Any]:
    """Return the report on what a run of `settings` into `sink` needs."""
    from service.health.broker import broker_checks
    from service.health.checks import (
        check_clock,
        check_disk,
        check_gpu,
        check_kernels,
        check_memory,
        check_models,
        check_recovery,
    )
    from service.health.component import checked, report

    uses_kafka = "kafka" in (settings.input.source, sink)
    broker, topics = broker_checks(settings)
    checks: dict[str, tuple[Callable[[], Component], bool]] = {
        "kernels": (partial(check_kernels, settings), True),
        "gpu": (partial(check_gpu, settings), False),  # the CPU takes its place
        "models": (partial(check_models, settings), bool(settings.models)),
        "disk": (partial(check_disk, settings), True),
        "memory": (partial(check_memory, settings), True),
        "recovery store": (partial(check_recovery, settings), settings.recovery.directory is not None),
        "clock": (check_clock, False),
        "broker": (broker, uses_kafka),
        "topics": (topics, uses_kafka),
    }
    components: list[Component] = []
    for name, (check, required) in checks.items():
        in_vain = name == "topics" and components[-1].state == "failed"
        components.append(checked(name, _unknown if in_vain else check, required=required))
    return report(components, runs=_runs(components))


def _unknown() -> "Component":
    from service.health.component import Component

    return Component(
        "topics", "failed", detail="not known: no broker answers", todo="See to the broker first"
    )


def _runs(components: "Sequence[Component]") -> dict[str, bool]:
    """Return what can run, by command."""
    failed = {each.name for each in components if each.state == "failed"}
    local = not failed & {"kernels", "models", "disk", "memory", "recovery store"}
    return {
        "aura run": local,
        "aura run --source kafka": local and not failed & {"broker", "topics"},
        "aura cluster": local,
    }


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
