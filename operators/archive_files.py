"""An archive of a topic: a folder of Parquet files whose names say which records they hold.

    archive.json                            the topic, its partitions, the columns of its events
    00007/events-<first>-<next>.parquet     of partition 7, the rows of the records with first <= offset < next
    00007/dead-<first>-<next>.parquet       what is no event in that span, whole; only if there is any

The spans of a partition follow one another without a gap. A file is written under a name that begins with a dot, brought
to disk, and then given its own, the events of a span last. So what has its name is complete, the names say where an
archiver goes on, and what it was killed over it finds again under a dot, or as dead letters without events.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from kernels.errors import AuraError, ConfigError
from kernels.schema import column_dtype

__all__ = ["DEAD_COUNT", "DEAD_SCHEMA", "Archive", "Span", "events_schema", "name_file"]

DEAD_COUNT = "aura.dead_letters"
"""Key in the metadata of a file of events: how many dead letters lie beside it."""

_MANIFEST = "archive.json"
_VERSION = 1
_PLACE = (("partition", pa.int32()), ("offset", pa.int64()), ("row", pa.int32()), ("broker_us", pa.int64()))
_TEXT_ID = "agent"  # what the agent's id was hashed from

DEAD_SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in (
            *_PLACE[:3],
            ("value", pa.binary()),
            *((name, pa.string()) for name in ("content_type", "stage", "reason", "detail")),
        )
    ]
)
"""What is no event: its bytes, and the words of the dead letter that it became."""


class Span(NamedTuple):
    """The records of a partition with first <= offset < next, and the file of their events."""

    first: int
    next: int
    events: Path

    @property
    def dead(self) -> Path:
        """The file of what is no event; there need not be one."""
        return self.events.with_name(self.events.name.replace("events", "dead"))


@dataclass(frozen=True)
class Archive:
    """The folder of an archive.

    Parameters
    ----------
    folder
        Where it lies.
    topic, partitions
        Of which topic, and how many partitions that had when an archiver last looked.
    columns
        The columns of its events, in their order.
    """

    folder: Path
    topic: str
    partitions: int
    columns: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> "Archive":
        """Return the archive in `folder`.

        Raises
        ------
        ConfigError
            There is none, or one of another version.
        """
        try:
            found = json.loads((folder / _MANIFEST).read_text())
            version, topic, partitions = found["version"], found["topic"], found["partitions"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{folder} holds no archive: {_MANIFEST}: {error!r}", "Make one with `aura archive --out`"
            ) from error
        if version != _VERSION:
            raise ConfigError(f"{folder} is an archive of version {version}, expected {_VERSION}")
        return cls(folder, topic, partitions, tuple(found["columns"]))

    @classmethod
    def make(cls, folder: Path, topic: str, partitions: int, columns: Sequence[str]) -> "Archive":
        """Return the archive in `folder` to go on with, a new one if there is none.

        Raises
        ------
        ConfigError
            The one that is there is of another topic or has other columns, or a column has the name of one of the
            archive's own.
        """
        made = cls(folder, topic, partitions, tuple(columns))
        if (folder / _MANIFEST).exists():
            found = cls.open(folder)
            if (found.topic, found.columns) != (topic, made.columns):
                raise ConfigError(
                    f"{folder} is an archive of {found.topic} with the columns {', '.join(found.columns)}, not of "
                    f"{topic} with {', '.join(columns)}",
                    "Go on with the configuration that it was begun with, or name another folder",
                )
        if taken := {_TEXT_ID, *dict(_PLACE)} & set(columns):
            raise ConfigError(
                f"the columns {', '.join(sorted(taken))} cannot be archived: the archive has its own"
            )
        folder.mkdir(parents=True, exist_ok=True)
        manifest = {"version": _VERSION, "topic": topic, "partitions": partitions, "columns": columns}
        (folder / f".{_MANIFEST}").write_text(json.dumps(manifest, indent=2) + "\n")
        name_file(folder / f".{_MANIFEST}", folder / _MANIFEST)
        return made

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only archiver of this folder while the block runs; the lock ends with its process, however that ends.

        Raises
        ------
        AuraError
            Another process holds it.
        """
        with (self.folder / ".lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise AuraError(
                    f"another archiver writes {self.folder}", "End it first, or name another folder"
                ) from error
            yield

    def part(self, partition: int) -> Path:
        """Return the folder of a partition."""
        return self.folder / f"{partition:05d}"

    def span(self, partition: int, first: int, end: int) -> Span:
        """Return the span of these offsets, whether its files are there or not."""
        return Span(first, end, self.part(partition) / f"events-{first:020d}-{end:020d}.parquet")

    def spans(self, partition: int) -> list[Span]:
        """Return the spans of a partition that are complete, in their order.

        Raises
        ------
        AuraError
            A span between two others is missing, or two overlap.
        """
        found = [
            Span(*_offsets(path), path) for path in sorted(self.part(partition).glob("events-*.parquet"))
        ]
        for before, after in pairwise(found):
            if before.next != after.first:
                raise AuraError(
                    f"{self.folder}: partition {partition} has no file of the offsets {before.next} to {after.first - 1}"
                    if before.next < after.first
                    else f"{before.events} and {after.events} overlap",
                    "Bring back the files as the archiver left them: results without these events would be wrong",
                )
        return found

    def recover(self, partition: int) -> int | None:
        """Remove what an archiver was killed over; return the offset to go on from, None if the partition is new."""
        folder = self.part(partition)
        folder.mkdir(exist_ok=True)
        spans = self.spans(partition)
        kept = {span.dead for span in spans}
        for path in [
            *folder.glob(".*.parquet"),
            *(p for p in folder.glob("dead-*.parquet") if p not in kept),
        ]:
            path.unlink()
        return spans[-1].next if spans else None


def events_schema(columns: Sequence[str]) -> pa.Schema:
    """Return the schema of a file of events: their columns, the place and broker's time of each, the text of its agent."""
    fields = [(name, pa.from_numpy_dtype(column_dtype(name))) for name in columns]
    exact = [pa.field(name, kind, nullable=False) for name, kind in (*fields, *_PLACE)]
    return pa.schema([*exact, pa.field(_TEXT_ID, pa.string())])


def name_file(temporary: Path, path: Path) -> None:
    """Bring a file to disk and only then give it its name, which is brought there as well."""
    _sync(temporary)
    temporary.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _offsets(path: Path) -> tuple[int, int]:
    _, first, end = path.stem.split("-")
    return int(first), int(end)
