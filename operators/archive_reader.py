"""Reads a partition of an archive, a row group at a time: what its records had become when they were archived."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kernels.errors import AuraError
from kernels.lateness import START_US
from kernels.schema import column_dtype
from operators.archive_files import DEAD_COUNT, Archive, Span
from operators.batch import DeadLetter, Origin
from operators.decoded import Decoded

__all__ = ["Position", "count_rows", "read_archive"]

Position = tuple[int, int]
"""Offset and row of an event; the row of a whole record is -1."""


def count_rows(archive: Archive) -> int:
    """Return how many events an archive holds."""
    total = 0
    for partition in range(archive.partitions):
        for span in archive.spans(partition):
            with _reading(span.events):
                total += pq.read_metadata(span.events).num_rows
    return total


def read_archive(
    archive: Archive,
    partition: int,
    columns: Sequence[str],
    *,
    position: Position | None = None,
    from_us: int = START_US,
) -> Iterator[Decoded]:
    """Yield the events of a partition in the order of the topic, and with them what is no event.

    Parameters
    ----------
    archive, partition
        Of which partition.
    columns
        Of the events, the required ones among them.
    position
        Row groups before it are left out; what stands before it in its own row group is not.
    from_us
        Row groups at the beginning are left out as long as all of their times are before this one.

    Raises
    ------
    AuraError
        A file is missing or cannot be read.
    """
    begun = position is not None or from_us <= START_US
    for span in archive.spans(partition):
        if position is not None and span.next <= position[0]:
            continue
        with _reading(span.events), pq.ParquetFile(span.events, read_dictionary=["agent"]) as file:
            letters = _Letters(archive.topic, span, file.metadata)
            for number in range(file.num_row_groups):
                group = _Group(file.metadata, number)
                if position is not None and group.most("offset") < position[0]:
                    continue
                if not begun and group.most("time_us") < from_us:
                    continue
                begun = True
                names = [*columns, "offset", "row", "broker_us", *group.texts]
                table = file.read_row_group(number, names, use_threads=False)
                yield _piece(table, columns, archive.topic, partition, letters)
            rest = letters.until(span.next)
            if begun and rest:
                yield _no_rows(archive.topic, partition, columns, rest)


class _Group:
    """What the file says about a row group."""

    def __init__(self, metadata: pq.FileMetaData, number: int) -> None:
        self._group, self._names = metadata.row_group(number), metadata.schema.names

    def most(self, column: str) -> int:
        """Return the greatest value of a column."""
        return int(self._column(column).max)

    @property
    def texts(self) -> list[str]:
        """The column of the agents' texts, if there is one text at least."""
        return ["agent"] if self._column("agent").null_count < self._group.num_rows else []

    def _column(self, name: str) -> pq.Statistics:
        return self._group.column(self._names.index(name)).statistics


class _Letters:
    """The dead letters of a span in their order, a row group of them in memory."""

    def __init__(self, topic: str, span: Span, metadata: pq.FileMetaData) -> None:
        self._topic, self._held = topic, list[DeadLetter]()
        self._letters: Iterator[DeadLetter] = iter(())
        if int((metadata.metadata or {}).get(DEAD_COUNT.encode(), 0)):
            self._letters = self._read(span.dead)

    def until(self, offset: int) -> list[DeadLetter]:
        """Return those of the records up to `offset` that were not returned yet."""
        found, self._held = self._held, []
        for letter in self._letters:
            found.append(letter)
            if letter.offset > offset:
                break
        if found and found[-1].offset > offset:
            self._held = [found.pop()]
        return found

    def _read(self, path: Path) -> Iterator[DeadLetter]:
        with _reading(path), pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                for fields in file.read_row_group(group, use_threads=False).to_pylist():
                    yield DeadLetter(self._topic, **fields)


def _piece(table: pa.Table, columns: Sequence[str], topic: str, partition: int, letters: _Letters) -> Decoded:
    """Return a row group; the arrays are the ones that were read, without a copy."""
    found = {name: table[name].chunk(0).to_numpy() for name in (*columns, "offset", "row", "broker_us")}
    offset, row, broker_us = (found.pop(name) for name in ("offset", "row", "broker_us"))
    begins = (offset[1:] != offset[:-1]) | (row[1:] != row[:-1] + 1)
    starts = np.concatenate(([0], np.flatnonzero(begins) + 1))
    origin = Origin(topic, partition, starts, offset[starts], row[starts].astype(np.int64))
    names = _names(found["agent_id"], table["agent"]) if "agent" in table.column_names else {}
    return Decoded(found, origin, broker_us, names, letters.until(int(offset[-1])))


def _names(agents: NDArray[np.uint64], texts: pa.ChunkedArray) -> dict[int, str]:
    """Return the text of each agent that has one."""
    encoded = texts.unify_dictionaries().combine_chunks()
    code = encoded.indices.fill_null(-1).to_numpy()
    known = code >= 0
    different = pa.array(
        agents[known]
    ).dictionary_encode()  # by hash: a sort of 64 bits takes six times as long
    last = np.empty(len(different.dictionary), np.int64)
    last[different.indices.to_numpy()] = code[known]
    return dict(zip(different.dictionary.to_pylist(), encoded.dictionary.take(last).to_pylist(), strict=True))


def _no_rows(topic: str, partition: int, columns: Sequence[str], dead: list[DeadLetter]) -> Decoded:
    found = {name: np.empty(0, column_dtype(name)) for name in columns}
    return Decoded(found, Origin.nowhere(topic, partition), np.empty(0, np.int64), {}, dead)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        cause = str(error).partition("\n")[0][:300]
        raise AuraError(
            f"{path} cannot be read: {cause}", "Bring back the file as the archiver left it, or archive anew"
        ) from error
