"""`aura replay`: an archive or a topic again, through the same flow into results of its own, or back into a topic.

The results are those of the run over the topic, whatever the speed. Of a range, they are the same for the windows that
lie in it with their lateness; `summary.json` says which those are, and `aura verify` compares no others.
"""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kernels.errors import ConfigError
from service.options import AsJson, Flows, Profile, Set, flows_of, settings_of

if TYPE_CHECKING:
    from flows.replayed import Again, ReplayInput
    from flows.settings import Settings
    from operators.decoded import Decoded
    from operators.replayed import Replayed
    from service.console import Console
    from service.sender import Sender

__all__ = ["EXAMPLES", "command", "namespace", "parse_speed", "parse_time", "replay", "replay_into"]

EXAMPLES = (
    "Examples: aura replay --archive archive | aura replay --archive archive --from 2026-01-01T06:00 --to 2026-01-01T07:00 "
    "--speed 60 | aura replay --topic aura.events --out yesterday | aura replay --archive archive --into test.aura.events"
)

_MOST_S = 2**43  # as microseconds it fits 63 bits


def command(  # noqa: PLR0917 (each is an option of the command line)
    archive: Annotated[Path | None, typer.Option(help="Folder of an archive.")] = None,
    topic: Annotated[
        str | None, typer.Option(help="A topic in full, from its first offset to its end now.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Event time: ISO 8601, or seconds since 1970.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="The event time before which it ends.")] = None,
    speed: Annotated[str, typer.Option(help="max, or how many times as fast as it was: 1, 60.")] = "max",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results (default: replay, in that of a run).")
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="Results into topics with this prefix instead.")] = None,
    decisions: Annotated[
        Path | None, typer.Option(help="decisions.jsonl of a run that degraded: do less where that did.")
    ] = None,
    into: Annotated[str | None, typer.Option(help="The events back into this topic, and no results.")] = None,
    flows: Flows = None,
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Run what was archived, or what a topic still holds, again."""
    from flows.replayed import Again, from_archive, from_topic
    from operators.replayed import Range
    from service.console import Console

    settings, console = settings_of(profile, set_, {"flows": flows_of(flows)}), Console(quiet=as_json)
    if sum(place is not None for place in (out, prefix, into)) > 1:
        raise ConfigError("--out, --prefix and --into exclude one another")
    bounds = {"from_us": parse_time(from_, "--from"), "to_us": parse_time(to, "--to")}
    again = Again(Range(**{name: at for name, at in bounds.items() if at is not None}), parse_speed(speed))
    if (archive is None) == (topic is None):
        raise ConfigError("replay what?", "Give either --archive or --topic")
    every_column = into is not None
    if archive is not None:
        given = from_archive(settings, archive, again, every_column=every_column)
    else:
        given = from_topic(settings, str(topic), again, every_column=every_column)
    if into is not None:
        summary = replay_into(settings, given, into)
        said = f"{summary['events']:,} events and {summary['dead_letters']:,} dead letters into {into}"
    else:
        own = namespace(settings, out=out, prefix=prefix)
        summary = replay(
            own, given, again, sink="files" if prefix is None else "kafka", console=console, obeys=decisions
        )
        said = f"in {own.sink.directory}: summary.json"
    print(json.dumps(summary) if as_json else said)


def namespace(settings: "Settings", *, out: Path | None, prefix: str | None) -> "Settings":
    """Return the settings with outputs of a replay's own: a folder, or topics under a prefix; without recovery.

    Raises
    ------
    ConfigError
        The prefix is the one that the live results have.
    """
    if prefix == settings.kafka.prefix:
        raise ConfigError(
            f"--prefix {prefix!r}: there the live results are", "Give one of the replay's own: replay."
        )
    directory = settings.sink.directory / "replay" if out is None else out
    own: dict[str, Any] = {
        "sink": settings.sink.model_copy(update={"directory": directory}),
        "recovery": settings.recovery.model_copy(update={"directory": None}),
    }
    if prefix is not None:
        own["kafka"] = settings.kafka.model_copy(update={"prefix": prefix})
    return settings.model_copy(update=own)


def replay(
    settings: "Settings",
    given: "ReplayInput",
    again: "Again",
    *,
    sink: str,
    console: "Console",
    obeys: Path | None = None,
) -> dict[str, Any]:
    """Run an opened input through the flow into the outputs of `settings`; return the summary.

    To `summary.json` is added `closed`: of each window, from which start and up to which end its results are complete.
    """
    from kernels.lateness import END_US, START_US
    from service.job import Job

    summary = Job(settings, sink=sink, until_end=True, console=console, given=given, obeys=obeys).run()
    from_us = again.span.from_us if again.span.from_us > START_US else None
    to_us = again.span.to_us if again.span.to_us < END_US else None
    if from_us is None and to_us is None:
        return summary
    closed = {
        window.name: [from_us, None if to_us is None else to_us - window.lateness_us]
        for window in settings.windows_used
    }
    summary |= {"closed": closed}
    path = settings.sink.directory / "summary.json"
    path.with_name(".summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    path.with_name(".summary.json").replace(path)
    return summary


def replay_into(settings: "Settings", given: "ReplayInput", topic: str) -> dict[str, Any]:
    """Send the events of an opened input into a topic, partition by partition, and what was no event as it was.

    Raises
    ------
    ConfigError
        The topic has another number of partitions: agents would change theirs.
    """
    from flows.plan import Plan
    from operators.batch import length
    from operators.kafka_reader import topic_partitions
    from operators.progress import Progress
    from service.sender import Sender

    options = settings.kafka.client_options()
    found = topic_partitions(options, topic)
    if found != given.partitions:
        raise ConfigError(
            f"{topic} has {found} partitions, {given.name} has {given.partitions}: agents would move"
        )
    config = Plan.of(settings, columns=given.columns, partitions=given.partitions).ingest
    source = given.build(replace(config, motion=False, dedup=False), Progress())
    parts = [source.replayed(number) for number in range(given.partitions)]
    events = dead_letters = 0
    with Sender(options) as sender:
        for number, run in _due(parts):
            _send(sender, topic, number, run)
            events, dead_letters = events + length(run.columns), dead_letters + len(run.dead)
    return {"topic": topic, "events": events, "dead_letters": dead_letters}


def _due(parts: "list[Replayed]") -> "Iterator[tuple[int, Decoded]]":
    """Yield what the partitions hold when it is due, each in its turn."""
    while not all(part.ended for part in parts):
        found = [
            (number, run) for number, part in enumerate(parts) if not part.ended for run, _ in part.advance()
        ]
        yield from found
        if not found:
            time.sleep(min((part.wait_s for part in parts if not part.ended), default=0))


def _send(sender: "Sender", topic: str, partition: int, run: "Decoded") -> None:
    from operators.batch import length
    from operators.ingest import FRAME_TYPE
    from service.pacing import Chunk
    from service.produce import encode_chunk

    for letter in run.dead:
        sender.send(topic, partition, (None, letter.value), {"content-type": letter.content_type})
    if length(run.columns):
        for record in encode_chunk(Chunk(run.columns, run.names), "frame", length(run.columns)):
            sender.send(topic, partition, record, {"content-type": FRAME_TYPE})


def parse_time(text: str | None, option: str) -> int | None:
    """Return a time as microseconds since 1970.

    >>> parse_time("1970-01-01T00:01Z", "--from"), parse_time("1.5", "--to")
    (60000000, 1500000)
    """
    import pyarrow as pa

    from operators.iso_time import parse_iso

    if text is None:
        return None
    with suppress(InvalidOperation):
        seconds = Decimal(text)
        if seconds.is_finite() and abs(seconds) < _MOST_S:
            return int(seconds * 1_000_000)
    time_us, valid = parse_iso(pa.array([text], pa.large_string()))
    if not valid[0]:
        raise ConfigError(
            f"{option} {text!r}: not a time", "For example 2026-01-01T06:00:00Z, or seconds since 1970"
        )
    return int(time_us[0])


def parse_speed(text: str) -> float | None:
    """Return how many times as fast as it was; None: as fast as it goes.

    >>> parse_speed("60"), parse_speed("max")
    (60.0, None)
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < inf:
        raise ConfigError(f"--speed {text!r}: expected max, or a number above 0")
    return speed
