"""The events of a topic into an archive of Parquet files: each record once, however often it is killed."""

import threading
import time
from pathlib import Path
from typing import Any

from flows.replayed import archived_columns, decoder
from flows.settings.root import Settings
from operators.archive import ArchiveWriter
from operators.archive_files import Archive
from operators.kafka_reader import topic_partitions
from operators.kafka_records import Decoder
from operators.progress import Progress
from operators.topic_reader import TopicReader, offset_bounds

__all__ = ["archive_topic"]

_POLL_MS = 200


def archive_topic(
    settings: Settings,
    topic: str,
    folder: Path,
    *,
    until_end: bool,
    max_bytes: int,
    max_span_us: int,
    stop: threading.Event,
    progress: Progress,
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
    reader: TopicReader,
    decoders: list[Decoder],
    writers: list[ArchiveWriter],
    stop: threading.Event,
    progress: Progress,
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
