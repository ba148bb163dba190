"""What is read again: an archive, or a topic from its first offset to what is its end now; a range of it, at a speed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flows.settings.root import Settings
from flows.sources import Input, event_columns
from kernels.schema import CANONICAL, REQUIRED
from operators.archive_files import Archive
from operators.archive_reader import Position, count_rows, read_archive
from operators.archive_source import Read, ReplaySource
from operators.decoded import Decoded
from operators.ingest import IngestConfig
from operators.kafka_reader import topic_partitions
from operators.kafka_records import CONTENT_TYPES, Decoder
from operators.pace import Pace
from operators.prefetch import prefetched
from operators.progress import Progress
from operators.replayed import Range
from operators.topic_reader import TopicReader, offset_bounds

__all__ = [
    "Again",
    "ReplayInput",
    "archived_columns",
    "decoder",
    "from_archive",
    "from_topic",
]

_POLL_MS = 100


@dataclass(frozen=True)
class Again:
    """Which part of event time is read again, and how fast.

    Parameters
    ----------
    span
        The part.
    speed
        Seconds of event time in a second; None: as fast as it goes.
    """

    span: Range = field(default_factory=Range)
    speed: float | None = None


@dataclass(frozen=True)
class ReplayInput(Input):
    """An opened archive or topic."""

    build: Callable[[IngestConfig, Progress], ReplaySource]


def archived_columns(settings: Settings) -> tuple[str, ...]:
    """Return the columns that an archive keeps: those that the flow knows, and all that are canonical."""
    return tuple(dict.fromkeys((*REQUIRED, *CANONICAL, *event_columns(settings))))


def decoder(settings: Settings, topic: str, partition: int, *, columns: tuple[str, ...]) -> Decoder:
    """Return what reads the records of a partition."""
    mapping = settings.input.mapping
    return Decoder(
        topic,
        partition,
        columns=columns,
        default=CONTENT_TYPES[settings.kafka.content_type],
        mapping=mapping.to_mapping() if mapping is not None else None,
        batch_rows=settings.input.batch_rows,
    )


def from_archive(
    settings: Settings, folder: Path, again: Again, *, every_column: bool = False
) -> ReplayInput:
    """Open an archive; with `every_column` not only the columns that the flow knows.

    Raises
    ------
    AuraError
        There is none, or files of it are missing.
    """
    archive = Archive.open(folder)
    known = archive.columns if every_column else event_columns(settings)
    columns = tuple(name for name in known if name in archive.columns)
    from_us = again.span.from_us - max(window.lateness_us for window in settings.windows_used)

    def read(partition: int, position: Position | None) -> Iterator[Decoded]:
        return prefetched(read_archive(archive, partition, columns, position=position, from_us=from_us))

    total = count_rows(archive) if again.span == Range() else 0
    return _input(settings, (archive.topic, archive.partitions), columns, read, again, total=total)


def from_topic(settings: Settings, topic: str, again: Again, *, every_column: bool = False) -> ReplayInput:
    """Open a topic, prefix included; with `every_column` not only the columns that the flow knows.

    Raises
    ------
    AuraError
        There is no broker or no such topic.
    """
    options = settings.kafka.client_options()
    partitions = topic_partitions(options, topic)
    firsts, ends = offset_bounds(options, topic, partitions)
    columns = archived_columns(settings) if every_column else event_columns(settings)

    def poll(partition: int, position: Position | None) -> Iterator[Decoded]:
        records = decoder(settings, topic, partition, columns=columns)
        start = {partition: firsts[partition] if position is None else position[0]}
        with TopicReader(options, topic, start, ends) as reader:
            while not reader.ended:
                for polled in reader.poll(_POLL_MS):
                    yield from records.decode(polled.records)

    def read(partition: int, position: Position | None) -> Iterator[Decoded]:
        return prefetched(poll(partition, position))

    return _input(settings, (topic, partitions), columns, read, again)


def _input(
    settings: Settings,
    place: tuple[str, int],
    columns: tuple[str, ...],
    read: Read,
    again: Again,
    *,
    total: int = 0,
) -> ReplayInput:
    topic, partitions = place

    def build(config: IngestConfig, progress: Progress) -> ReplaySource:
        progress.total = total
        return ReplaySource(
            topic,
            partitions,
            read,
            config,
            span=again.span,
            pace=Pace(again.speed) if again.speed is not None else None,
            batch_rows=settings.input.batch_rows,
            progress=progress,
        )

    return ReplayInput(topic, columns, partitions, build)
