"""`aura archive`: the events of a topic into Parquet files, each record once however often it is killed."""

import json
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kernels.errors import ConfigError
from service.options import AsJson, Profile, Set, settings_of

if TYPE_CHECKING:
    from flows.settings import Settings
    from operators.archive import ArchiveWriter
    from operators.kafka_records import Decoder
    from operators.progress import Progress
    from operators.topic_reader import TopicReader

__all__ = ["EXAMPLES", "archive_topic", "command"]

EXAMPLES = (
    "Examples: aura archive --out archive --until-end | aura archive --topic mine.aura.events --out archive "
    "--max-bytes 64MB --max-span 10m"
)
_POLL_MS = 200
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)(i?)B?")
_FACTORS = {"": 0, "k": 1, "M": 2, "G": 3}


def command(  # noqa: PLR0917 (each is an option of the command line)
    out: Annotated[Path, typer.Option(help="Folder of the archive; one that is there is gone on with.")],
    topic: Annotated[
        str | None, typer.Option(help="The topic in full (default: the configured aura.events).")
    ] = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at what is the end of the topic now.")
    ] = False,
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


def archive_topic(
    settings: "Settings",
    topic: str,
    folder: Path,
    *,
    until_end: bool,
    max_bytes: int,
    max_span_us: int,
    stop: threading.Event,
    progress: "Progress",
) -> dict[str, Any]:
    """Archive what a topic holds that is not archived yet; return what was done.

    Parameters
    ----------
    settings
        How records are read, and which columns there are.
    topic, folder
        From where to where.
    until_end
        Stop at what is the end now.
    max_bytes, max_span_us
        When a file ends.
    stop
        Finish the files and return.
    progress
        Told of the rows archived.

    Raises
    ------
    AuraError
        There is no such topic, it does not hold any more what comes next, or the folder holds another archive.
    """
    from flows.replayed import archived_columns, decoder
    from operators.archive import ArchiveWriter
    from operators.archive_files import Archive
    from operators.kafka_reader import topic_partitions
    from operators.topic_reader import TopicReader, offset_bounds

    start_s, columns = time.perf_counter(), archived_columns(settings)
    options = settings.kafka.client_options()
    numbers = range(topic_partitions(options, topic))
    archive = Archive.make(folder, topic, len(numbers), columns)
    with archive.locked():
        firsts, ends = offset_bounds(options, topic, len(numbers))
        writers = [
            ArchiveWriter(archive, k, start=firsts[k], max_bytes=max_bytes, max_span_us=max_span_us)
            for k in numbers
        ]
        decoders = [decoder(settings, topic, k, columns=columns) for k in numbers]
        starts = {k: writers[k].next for k in numbers}
        with TopicReader(options, topic, starts, ends if until_end else None) as reader:
            dead_letters = _copy(reader, decoders, writers, stop, progress)
    files = [path for k in numbers for path in archive.part(k).glob("[!.]*.parquet")]
    return {
        "topic": topic,
        "rows": progress.done,
        "dead_letters": dead_letters,
        "seconds": round(time.perf_counter() - start_s, 3),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
    }


def _copy(
    reader: "TopicReader",
    decoders: "list[Decoder]",
    writers: "list[ArchiveWriter]",
    stop: threading.Event,
    progress: "Progress",
) -> int:
    """Archive until the end or the stop; return how many dead letters there were."""
    dead_letters = 0
    while not reader.ended and not stop.is_set():
        for polled in reader.poll(_POLL_MS):
            pieces = list(decoders[polled.partition].decode(polled.records))
            writers[polled.partition].append(pieces, polled.end)
            progress.done += sum(len(piece.broker_us) for piece in pieces)
            dead_letters += sum(len(piece.dead) for piece in pieces)
    # Not after an error: what that has cut short has no end that a name could say. It is read again.
    for writer in writers:
        writer.close()
    return dead_letters


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
