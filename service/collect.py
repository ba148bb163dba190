"""The end of a run into files: its parts become the result files, and every event is accounted for. `aura collect`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kernels.errors import AuraError
from service.options import AsJson, Profile, Set, settings_of

if TYPE_CHECKING:
    from flows.assemble import Assembled

__all__ = ["collect", "command", "places"]


def command(
    source: Annotated[str | None, typer.Option(help="What the run read.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Put the parts of a flow that ran under `python -m bytewax.run`, or that was stopped, together."""
    from flows.assemble import assemble
    from operators.decisions import DecisionLog
    from operators.file_sink import PARTS, clear_parts
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


def places(made: "Assembled", directory: Path) -> dict[str, str]:
    """Return where each kind of result is."""
    from operators.kafka_results import TOPICS
    from operators.kafka_sink import KafkaSink
    from operators.result_tables import KINDS

    if isinstance(made.sink, KafkaSink):
        return {kind: f"topic {made.sink.prefix}{TOPICS[kind]}" for kind in KINDS}
    return {kind: str(directory / f"{kind}.parquet") for kind in KINDS}


def collect(
    made: "Assembled", directory: Path, *, seconds: float, more: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Put the results of a run that is over together; return the summary, which is `summary.json` too. The parts stay.

    Parameters
    ----------
    made
        What ran. Of files, the parts in `directory` become the result files; of topics, what any reader sees of the run
        is read back.
    directory
        Of the results.
    seconds
        How long it took; 0 if that is not known.
    more
        What else the summary is to say.

    Raises
    ------
    AuraError
        An event is not accounted for.
    """
    from operators.file_sink import read_tallies
    from operators.kafka_sink import KafkaSink
    from operators.kafka_tables import read_results
    from operators.results import published, read_files, write_files, write_summary

    plan, into_topics = made.plan, isinstance(made.sink, KafkaSink)
    if isinstance(made.sink, KafkaSink):
        tally = made.account
        run = made.sink.run
        found = read_results(made.sink.options, prefix=made.sink.prefix, run=run.id, kinds=tuple(run.starts))
    else:
        tally, found = read_tallies(directory), read_files(directory)
    if not tally.balanced:
        raise AuraError(f"the account does not balance: {tally}", "This is a fault in AURA: please report it")
    tables = published(found, plan.tables, model=plan.cell_model)
    if not into_topics:
        write_files(directory, tables)
    known = {
        "seconds": round(seconds, 3),
        "events_per_s": round(tally.events_in / seconds, 1) if seconds else 0.0,
        "backend": plan.backend.name,
        "provider": plan.backend.provider,
        "level": _level(made),
    }
    return write_summary(directory, tally, tables, known | (more or {}))


def _level(made: "Assembled") -> str:
    """Return the highest level of the run."""
    from service.degrade.ladder import Level

    decisions = made.decisions.schedule.decisions if made.decisions is not None else []
    return Level(max((decision.level for decision in decisions), default=0)).name.lower()
