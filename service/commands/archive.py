"""`aura archive`: the events of a topic into Parquet files, each record once however often it is killed."""

import json
import re
import threading
from pathlib import Path
from typing import Annotated

import typer

from kernels.errors import ConfigError
from service.commands.options import AsJson, Profile, Set, UntilEnd, settings_of

__all__ = ["EXAMPLES", "command", "parse_size"]

EXAMPLES = (
    "Examples: aura archive --out archive --until-end | aura archive --topic mine.aura.events --out archive "
    "--max-bytes 64MB --max-span 10m"
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)(i?)B?")
_FACTORS = {"": 0, "k": 1, "M": 2, "G": 3}


def command(  # noqa: PLR0917 (each is an option of the command line)
    out: Annotated[Path, typer.Option(help="Folder of the archive; one that is there is gone on with.")],
    topic: Annotated[
        str | None, typer.Option(help="The topic in full (default: the configured aura.events).")
    ] = None,
    until_end: UntilEnd = False,
    max_bytes: Annotated[str, typer.Option(help="A file ends when it is so large.")] = "256MB",
    max_span: Annotated[str, typer.Option(help="A file ends when it spans so much event time.")] = "1h",
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Archive a topic until its end, or as it grows until SIGINT or SIGTERM; what was archived before is not read again."""
    from flows.settings.types import parse_duration
    from flows.sources import EVENTS_TOPIC
    from operators.progress import Progress
    from service.archive import archive_topic
    from service.console import Console
    from service.stop import stop_signals

    settings, progress = settings_of(profile, set_), Progress()
    try:
        max_span_us = parse_duration(max_span)
    except ValueError as error:
        raise ConfigError(f"--max-span {max_span!r}: {error}") from error
    limits = {"max_bytes": parse_size(max_bytes), "max_span_us": max_span_us}
    topic = topic or settings.kafka.prefix + EVENTS_TOPIC
    stop = threading.Event()
    with stop_signals(stop.set), Console(quiet=as_json).progress(progress):
        summary = archive_topic(
            settings, topic, out, until_end=until_end, **limits, stop=stop, progress=progress
        )
    if as_json:
        print(json.dumps(summary))
    else:
        print(
            f"{summary['rows']:,} rows and {summary['dead_letters']:,} dead letters of {topic} in {summary['seconds']:.2f} s; "
            f"{out} holds {summary['files']} files, {summary['bytes'] / 1e6:,.1f} MB"
        )


def parse_size(text: str) -> int:
    """Return a size with a unit as bytes.

    >>> parse_size("256MB"), parse_size("1.5 MiB"), parse_size("4096")
    (256000000, 1572864, 4096)
    """
    found = _SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * (1024 if found[3] else 1000) ** _FACTORS[found[2]]) if found else 0
    if size < 1:
        raise ConfigError(
            f"--max-bytes {text!r}: not a size", "For example 256MB, 64MiB or a number of bytes"
        )
    return size
