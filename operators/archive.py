"""Writes a partition of a topic into an archive: Parquet, zstd, row groups of 64k rows, files rolled by size and time.

A file ends behind a whole poll of records, so that its name can say which offsets it holds. Nothing but the names of
the finished files is remembered: an archiver that was killed reads again what it had in hand.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from operators.archive_files import DEAD_COUNT, DEAD_SCHEMA, Archive, events_schema, name_file
from operators.batch import DeadLetter, length
from operators.decoded import Decoded

__all__ = ["GROUP_ROWS", "ArchiveWriter"]

GROUP_ROWS = 65_536
"""Rows of a row group: as many as a batch may have, so that one is read as the other without a copy."""

_DEAD_BYTES = 4 * 1024 * 1024  # of dead letters in memory; a single one may have 8 MiB
# A dictionary where values repeat, differences for other integers, a stream for each byte of a float. Simulated agents,
# 14 columns, one core: 20 M rows/s read and 26 bytes a row; with pyarrow's choice, dictionaries until they are too large,
# 10 M and 49. Plain and compressed, ids alone take 12 ns a row to read.
_REPEATED = ("partition", "level", "agent", "content_type", "stage", "reason")
_FEW_AGENTS = GROUP_ROWS // 4  # in a row group: with more, an index and a dictionary are longer than the ids
_STATISTICS = ("time_us", "offset", "agent")  # what a reader chooses row groups by


class ArchiveWriter:
    """The one writer of a partition of an archive.

    Parameters
    ----------
    archive
        Its folder, locked.
    partition
        Which.
    start
        The offset to begin with where nothing of the partition has been archived yet.
    max_bytes, max_span_us
        A file ends at the first poll behind which it is so large, or spans so much event time.

    Attributes
    ----------
    next
        The offset behind all that has been finished.
    """

    def __init__(
        self, archive: Archive, partition: int, *, start: int, max_bytes: int, max_span_us: int
    ) -> None:
        self._archive, self._partition = archive, partition
        self._max_bytes, self._max_span_us = max_bytes, max_span_us
        recovered = archive.recover(partition)
        self.next = start if recovered is None else recovered
        self._schema = events_schema(archive.columns)
        self._files: _Files | None = None

    def append(self, pieces: Iterable[Decoded], end: int) -> None:
        """Take what the records up to offset `end` have become; those before were in the call before this one."""
        for piece in pieces:
            if self._files is None:
                self._files = _Files(self._archive.part(self._partition), self._schema)
            self._files.add(piece)
        if self._files is None:
            return  # nothing but markers of transactions: they are of the next file
        self._files.end = end
        if self._files.size >= self._max_bytes or self._files.span_us >= self._max_span_us:
            self.close()

    def close(self) -> None:
        """Finish the file in hand."""
        if self._files is not None:
            events = self._archive.span(self._partition, self.next, self._files.end)
            self._files.finish(events.events, events.dead)
            self.next, self._files = self._files.end, None


class _Files:
    """The span in hand: its events, and what is no event."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema, self.end = folder, schema, 0
        self._events: _File | None = None
        self._dead: _File | None = None
        self._rows: list[pa.RecordBatch] = []
        self._letters: list[DeadLetter] = []
        self._dead_count = 0
        self._times_us: list[int] = []

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.size for file in (self._events, self._dead) if file is not None)

    @property
    def span_us(self) -> int:
        """Event time between most of the first rows and most of the last ones: a clock may be wrong."""
        return max(self._times_us) - min(self._times_us) if self._times_us else 0

    def add(self, piece: Decoded) -> None:
        """Write what fills row groups; hold the rest."""
        if length(piece.columns):
            self._times_us = [*self._times_us[:2], *_most(piece.columns["time_us"])]
            self._rows.append(_rows(piece, self._schema))
            if sum(rows.num_rows for rows in self._rows) >= GROUP_ROWS:
                self._write_rows(keep=True)
        self._letters += piece.dead
        if sum(len(letter.value) for letter in self._letters) >= _DEAD_BYTES:
            self._write_letters()

    def finish(self, events: Path, dead: Path) -> None:
        """Write what is held and give the files their names, the events last."""
        self._write_rows(keep=False)
        self._write_letters()
        if self._dead is not None:
            self._dead.finish(dead)
        self._opened().finish(events, {DEAD_COUNT: str(self._dead_count)})

    def _write_rows(self, *, keep: bool) -> None:
        table = pa.Table.from_batches(self._rows, self._schema)
        whole = table.num_rows // GROUP_ROWS * GROUP_ROWS if keep else table.num_rows
        for first in range(0, whole, GROUP_ROWS):
            group = table.slice(first, min(GROUP_ROWS, whole - first))
            self._opened(group).write(group)
        self._rows = table.slice(whole).to_batches()

    def _opened(self, first: pa.Table | None = None) -> "_File":
        """Return the file of the events; its first row group shows how to write the ids."""
        if self._events is None:
            few = first is not None and pc.count_distinct(first["agent_id"]).as_py() <= _FEW_AGENTS
            repeated = (*_REPEATED, "agent_id") if few else _REPEATED
            self._events = _File(self._folder / ".events.parquet", self._schema, repeated)
        return self._events

    def _write_letters(self) -> None:
        if not self._letters:
            return
        if self._dead is None:
            self._dead = _File(self._folder / ".dead.parquet", DEAD_SCHEMA, _REPEATED)
        letters = sorted(self._letters, key=lambda letter: (letter.offset, letter.row))
        fields = {name: [getattr(letter, name) for letter in letters] for name in DEAD_SCHEMA.names}
        self._dead.write(pa.Table.from_pydict(fields, DEAD_SCHEMA))
        self._dead_count += len(letters)
        self._letters = []


class _File:
    """A Parquet file that has no name yet."""

    def __init__(self, temporary: Path, schema: pa.Schema, repeated: Sequence[str]) -> None:
        self._temporary, self._sink = temporary, pa.OSFile(str(temporary), "wb")
        others = [field for field in schema if field.name not in repeated]
        encodings = {f.name: "BYTE_STREAM_SPLIT" for f in others if pa.types.is_floating(f.type)}
        encodings |= {f.name: "DELTA_BINARY_PACKED" for f in others if pa.types.is_integer(f.type)}
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            use_dictionary=[name for name in repeated if name in schema.names],
            column_encoding=encodings,
            write_statistics=[name for name in _STATISTICS if name in schema.names],
        )

    @property
    def size(self) -> int:
        """Bytes so far."""
        return int(self._sink.tell())

    def write(self, table: pa.Table) -> None:
        """Write a row group."""
        self._writer.write_table(table, row_group_size=len(table))

    def finish(self, path: Path, metadata: Mapping[str, str] | None = None) -> None:
        """Bring the file to disk and name it."""
        if metadata:
            self._writer.add_key_value_metadata(metadata)
        self._writer.close()
        self._sink.close()
        name_file(self._temporary, path)


def _most(time_us: NDArray[np.int64]) -> tuple[int, int]:
    """Return between which times most of the rows lie: of ten, eight."""
    sample = time_us[:: len(time_us) // 1024 + 1]
    low, high = np.percentile(sample, 10, method="higher"), np.percentile(sample, 90, method="lower")
    return int(min(low, high)), int(max(low, high))


def _rows(piece: Decoded, schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows of a piece as the archive has them."""
    size = length(piece.columns)
    offset, row = piece.origin.locate(np.arange(size))
    columns: dict[str, NDArray[Any] | pa.Array] = {
        **piece.columns,
        "partition": np.full(size, piece.origin.partition, np.int32),
        "offset": offset,
        "row": row.astype(np.int32),
        "broker_us": np.ascontiguousarray(piece.broker_us),
        "agent": _texts(piece.columns["agent_id"], piece.names),
    }
    return pa.RecordBatch.from_arrays([_array(columns[field.name], field) for field in schema], schema=schema)


def _array(values: NDArray[Any] | pa.Array, field: pa.Field) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, field.type)


def _texts(agents: NDArray[np.uint64], names: Mapping[int, str]) -> pa.Array:
    """Return the text of each agent that has one."""
    if not names:
        return pa.nulls(len(agents), pa.string())
    ids = pa.array(np.fromiter(names, np.uint64, len(names)))
    known: Sequence[str] = list(names.values())
    return pa.array(known, pa.string()).take(pc.index_in(pa.array(agents), ids))
