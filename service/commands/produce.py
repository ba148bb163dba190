"""`aura produce` and `aura simulate`: events of a file or of the simulator into the topic."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.commands.options import AsJson, Profile, Set, settings_of

if TYPE_CHECKING:
    from flows.settings import Settings
    from operators.partitioned import DeadRow
    from operators.progress import Progress
    from service.pacing import Chunk

    _Parts = tuple[
        Sequence[Iterable[Chunk]], Sequence[Sequence[DeadRow]]
    ]  # events by partition; rows that are none

__all__ = ["EXAMPLES", "EXAMPLES_SIMULATE", "command", "simulate"]

EXAMPLES = "Examples: aura produce | aura produce --source flights.csv --speed 60"
EXAMPLES_SIMULATE = "Example: aura simulate --agents 100000 --speed 1 --set input.partitions=8"

Rate = Annotated[float | None, typer.Option(help="Events a second, at most.")]
Speed = Annotated[float | None, typer.Option(help="Event time runs so many times as fast as the clock.")]
Form = Annotated[
    Literal["frame", "rows-msgpack", "rows-json"], typer.Option("--format", help="What a record is.")
]


def command(  # noqa: PLR0917 (each is an option of the command line)
    source: Annotated[str | None, typer.Option(help="simulate, or a .parquet, .csv or .jsonl file.")] = None,
    form: Form = "frame",
    rate: Rate = None,
    speed: Speed = None,
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Send the events of a file or of the simulator, each partition in its own order."""
    from flows.sources import EVENTS_TOPIC
    from operators.progress import Progress
    from service.console import Console
    from service.pacing import Pace
    from service.produce import produce

    settings, progress = settings_of(profile, set_, {"input.source": source}), Progress()
    prefix = settings.kafka.prefix
    parts, dead = (_simulated if settings.input.source == "simulate" else _read)(settings, progress)
    with _traced(settings) as traced, Console(quiet=as_json).progress(progress):
        sent = produce(
            settings.kafka.client_options(),
            prefix + EVENTS_TOPIC,
            parts,
            dead=dead,
            ids_topic=prefix + "aura.ids",
            form=form,
            pace=Pace(rate=rate, speed=speed),
            traced=traced,
            progress=progress,
        )
    found = asdict(sent)
    print(
        json.dumps(found) if as_json else ", ".join(f"{name} {value:,.6g}" for name, value in found.items())
    )


def simulate(  # noqa: PLR0917 (each is an option of the command line)
    agents: Annotated[int, typer.Option(help="Agents alive at any time, in seven levels.")] = 1_000_000,
    rate: Rate = None,
    speed: Speed = None,
    profile: Profile = "reference",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Send the events of a simulated population."""
    chosen = [*(set_ or []), f"simulate.agents={agents}"]
    command("simulate", "frame", rate, speed, profile, chosen, as_json)


@contextmanager
def _traced(settings: "Settings") -> "Iterator[Callable[[str, int], Mapping[str, str]] | None]":
    """Yield what begins the traces of records, if there is somewhere to send them."""
    if settings.tracing.endpoint is None:
        yield None
        return
    from service.observe.tracing import tracing

    with tracing(settings.tracing, role="producer") as tracer:
        yield tracer.produce


def _read(settings: "Settings", progress: "Progress") -> "_Parts":
    """Return the partitions of a file."""
    from flows.settings.types import located
    from operators.partitioned import load_partitioned
    from service.produce import chunks_of_file

    given = settings.input
    mapping = given.mapping.to_mapping() if given.mapping is not None else None
    rows = load_partitioned(located(given.source), mapping, given.partitions, as_is=given.as_is)
    progress.total = sum(len(part.columns["time_us"]) for part in rows)
    return [chunks_of_file(part) for part in rows], [part.dead for part in rows]


def _simulated(settings: "Settings", progress: "Progress") -> "_Parts":
    """Return those of the simulation."""
    from flows.sources import populations
    from service.pacing import Chunk

    partitions = settings.input.partitions
    make = populations(settings, partitions)
    ticks = max(1, settings.simulate.duration // settings.simulate.tick)
    progress.total = settings.simulate.agents * ticks

    def chunks(number: int) -> Iterable[Chunk]:
        population = make(number)
        return (Chunk(columns, {}) for tick in range(ticks) for columns in population.frames(tick))

    return [chunks(number) for number in range(partitions)], []
