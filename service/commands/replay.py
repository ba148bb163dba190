"""`aura replay`: an archive or a topic again, through the same flow into results of its own, or back into a topic.

The results are those of the run over the topic, whatever the speed. Of a range, they are the same for the windows that
lie in it with their lateness; `summary.json` says which those are, and `aura verify` compares no others.
"""

import json
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kernels.errors import ConfigError
from service.commands.options import AsJson, Flows, Profile, Set, flows_of, settings_of

if TYPE_CHECKING:
    from flows.replayed import Again, ReplayInput
    from flows.settings import Settings

__all__ = ["EXAMPLES", "command", "parse_speed", "parse_time"]

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
    from service.console import Console
    from service.replay import namespace, replay, replay_into

    settings, console = settings_of(profile, set_, {"flows": flows_of(flows)}), Console(quiet=as_json)
    if sum(place is not None for place in (out, prefix, into)) > 1:
        raise ConfigError("--out, --prefix and --into exclude one another")
    again = _again(from_, to, speed)
    given = _opened(settings, archive, topic, again, every_column=into is not None)
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


def _again(from_: str | None, to: str | None, speed: str) -> "Again":
    from flows.replayed import Again
    from operators.replayed import Range

    bounds = {"from_us": parse_time(from_, "--from"), "to_us": parse_time(to, "--to")}
    return Again(Range(**{name: at for name, at in bounds.items() if at is not None}), parse_speed(speed))


def _opened(
    settings: "Settings", archive: Path | None, topic: str | None, again: "Again", *, every_column: bool
) -> "ReplayInput":
    from flows.replayed import from_archive, from_topic

    if archive is not None and topic is None:
        return from_archive(settings, archive, again, every_column=every_column)
    if topic is not None and archive is None:
        return from_topic(settings, topic, again, every_column=every_column)
    raise ConfigError("replay what?", "Give either --archive or --topic")


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
