"""The end of a run: its parts become the result files, or what went into topics is read back; every event is accounted for."""

from pathlib import Path
from typing import Any

from flows.assemble import Assembled
from kernels.errors import AuraError
from operators.file_sink import read_tallies
from operators.kafka_results import TOPICS
from operators.kafka_sink import KafkaSink
from operators.kafka_tables import read_results
from operators.result_tables import KINDS
from operators.results import published, read_files, write_files, write_summary
from service.degrade.ladder import Level

__all__ = ["collect", "places"]


def places(made: Assembled, directory: Path) -> dict[str, str]:
    """Return where each kind of result is."""
    if isinstance(made.sink, KafkaSink):
        return {kind: f"topic {made.sink.prefix}{TOPICS[kind]}" for kind in KINDS}
    return {kind: str(directory / f"{kind}.parquet") for kind in KINDS}


def collect(
    made: Assembled, directory: Path, *, seconds: float, more: dict[str, Any] | None = None
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


def _level(made: Assembled) -> str:
    """Return the highest level of the run."""
    decisions = made.decisions.schedule.decisions if made.decisions is not None else []
    return Level(max((decision.level for decision in decisions), default=0)).name.lower()
