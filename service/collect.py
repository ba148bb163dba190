"""The end of a run into files: its parts become the result files, and every event is accounted for. `aura collect`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kernels.errors import AuraError
from service.options import AsJson, Profile, Set, settings_of

if TYPE_CHECKING:
    from flows.plan import Plan

__all__ = ["collect", "command"]


def command(
    source: Annotated[str | None, typer.Option(help="What the run read.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Put the parts of a flow that ran under `python -m bytewax.run`, or that was stopped, together."""
    from flows.assemble import assemble
    from operators.file_sink import PARTS
    from service.console import Console

    settings = settings_of(profile, set_, {"input.source": source, "sink.directory": out})
    directory = settings.sink.directory
    if not (directory / PARTS).is_dir():
        raise AuraError(f"{directory} holds no parts of a run", "Name the folder with --out")
    summary = collect(assemble(settings).plan, directory, seconds=0.0)
    if as_json:
        print(json.dumps(summary))
    else:
        Console().results(summary, directory)


def collect(plan: "Plan", directory: Path, *, seconds: float) -> dict[str, Any]:
    """Put the parts in `directory` together; return the summary.

    Raises
    ------
    AuraError
        An event is not accounted for.
    """
    from operators.file_sink import clear_parts
    from operators.result_tables import empty_cells
    from operators.results import finalise, write_summary

    tally, tables = finalise(directory, empty_cells(plan.cells.layout), model=plan.cell_model)
    if not tally.balanced:
        raise AuraError(f"the account does not balance: {tally}", "This is a fault in AURA: please report it")
    more = {
        "seconds": round(seconds, 3),
        "events_per_s": round(tally.events_in / seconds, 1) if seconds else 0.0,
        "backend": plan.backend.name,
        "provider": plan.backend.provider,
        "level": "none",
    }
    summary = write_summary(directory, tally, tables, more)
    clear_parts(directory)
    return summary
