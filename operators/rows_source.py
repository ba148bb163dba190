"""A bounded source of rows in memory: the logical partitions of a file, in batches."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from numpy.typing import NDArray

from operators.batch import Batch, DeadLetter, Origin, length
from operators.drain import DRAIN
from operators.ingest import Ingest, IngestConfig
from operators.pace import LEAST_WAIT_S, Pace, awake_in
from operators.partitioned import DeadRow, PartitionRows
from operators.progress import Progress
from operators.state import pack, unpack

__all__ = ["RowsSource"]

_VERSION = 1


class RowsSource(FixedPartitionedSource[Batch, bytes]):
    """The partitions of a file that has been read.

    Parameters
    ----------
    name
        Of the file: the topic of its origins.
    parts
        One a partition.
    config
        What to check.
    batch_rows
        Rows a batch; the results do not depend on it.
    progress
        Told of the rows read.
    pace
        When they are due; None: at once.
    """

    def __init__(
        self,
        name: str,
        parts: Sequence[PartitionRows],
        config: IngestConfig,
        *,
        batch_rows: int,
        progress: Progress,
        pace: Pace | None = None,
    ) -> None:
        self.name, self.parts, self.config = name, parts, config
        self.batch_rows, self.progress, self.pace = batch_rows, progress, pace
        progress.total = sum(length(part.columns) for part in parts)

    def list_parts(self) -> list[str]:
        """Return the names of the partitions."""
        return [str(k) for k in range(len(self.parts))]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> "_Partition":  # noqa: ARG002 (Bytewax names it)
        """Return partition `for_part`, after what `resume_state` says was delivered."""
        return _Partition(self, int(for_part), resume_state)


class _Partition(StatefulSourcePartition[Batch, bytes]):
    def __init__(self, source: RowsSource, number: int, resume_state: bytes | None) -> None:
        self._source, self._part, self._origin = source, source.parts[number], (source.name, number)
        state = unpack("rows", _VERSION, resume_state) if resume_state is not None else {}
        self._next, self._ended = state.get("next", 0), state.get("ended", False)
        self._ingest = Ingest(source.config, state.get("ingest"))
        self._awake: datetime | None = None
        if source.pace is not None and self._part.columns:
            source.pace.begin(self._part.columns["time_us"][self._next :])

    def next_awake(self) -> datetime | None:
        """Return when there is more to read, if not at once."""
        return self._awake

    def next_batch(self) -> list[Batch]:
        """Return the next rows as a batch, then the end of the partition, then stop."""
        if self._ended:
            raise StopIteration
        DRAIN.check()
        first, size = self._next, length(self._part.columns)
        # The rows that could not be mapped go with the first batch: they have no time that would give them a place.
        dead = [self._letter(row) for row in self._part.dead] if first == 0 else []
        if first >= size and not dead:
            self._ended = True
            return [self._ingest.finish(Origin.nowhere(*self._origin))]
        due = self._due(first)
        if due == 0 and first < size:
            return []
        rows = slice(first, first + due)
        columns = {name: values[rows] for name, values in self._part.columns.items()}
        batch = self._ingest.accept(
            columns, self._place(self._part.row[rows]), names=self._part.names, dead=dead
        )
        self._next = first + max(due, 1)  # a file of which no row could be mapped ends too
        self._source.progress.done += length(columns)
        return [batch]

    def _due(self, first: int) -> int:
        """Return how many rows from `first` on are due, at most a batch; set when more may be."""
        pace, rows = self._source.pace, self._source.batch_rows
        if pace is None:
            return rows
        time_us = self._part.columns["time_us"][first : first + rows]
        due, wait_s = pace.due(np.maximum.accumulate(time_us))
        self._awake = awake_in(max(wait_s, LEAST_WAIT_S))
        return due

    def _place(self, rows: NDArray[np.int64]) -> Origin:
        """Return where rows of the file stood: each is a record of its own."""
        file, number = self._origin
        return Origin(file, number, np.arange(len(rows)), rows, np.zeros(len(rows), np.int64))

    def _letter(self, row: DeadRow) -> DeadLetter:
        file, number = self._origin
        return DeadLetter(
            file, number, row.row, 0, row.value, row.content_type, "decode", row.reason, row.detail
        )

    def snapshot(self) -> bytes:
        """Return the position after what was delivered."""
        return pack(
            "rows", _VERSION, {"next": self._next, "ended": self._ended, "ingest": self._ingest.snapshot()}
        )
