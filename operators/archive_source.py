"""A bounded source of events that are read again, from an archive or a topic: one Bytewax partition per partition."""

from collections.abc import Callable, Iterator
from datetime import datetime

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from operators.archive_reader import Position
from operators.batch import Batch
from operators.decoded import Decoded
from operators.drain import DRAIN
from operators.ingest import IngestConfig
from operators.pace import Pace, awake_in
from operators.progress import Progress
from operators.replayed import Range, Replayed

__all__ = ["Read", "ReplaySource"]

Read = Callable[[int, Position | None], Iterator[Decoded]]
"""Yields what a partition holds from a position on."""

_LEAST_WAIT_S = 0.02  # events of a fiftieth of a second go together


class ReplaySource(FixedPartitionedSource[Batch, bytes]):
    """The partitions of an archive or a topic.

    Parameters
    ----------
    topic, partitions
        What is read again.
    read
        Yields the events of a partition.
    config
        What to check.
    span
        Which part of event time.
    pace
        When events are due; None: at once.
    batch_rows
        Rows a batch, at most; the results do not depend on it.
    progress
        Told of the rows read.
    """

    def __init__(
        self,
        topic: str,
        partitions: int,
        read: Read,
        config: IngestConfig,
        *,
        span: Range,
        pace: Pace | None,
        batch_rows: int,
        progress: Progress,
    ) -> None:
        self._topic, self._partitions, self._read, self._config = topic, partitions, read, config
        self._span, self._pace, self._batch_rows, self._progress = span, pace, batch_rows, progress

    def list_parts(self) -> list[str]:
        """Return the names of the partitions."""
        return [str(k) for k in range(self._partitions)]

    def replayed(self, number: int, state: bytes | None = None) -> Replayed:
        """Return partition `number`, after what `state` says was returned."""
        return Replayed(
            self._topic,
            number,
            lambda position: self._read(number, position),
            self._config,
            span=self._span,
            pace=self._pace,
            batch_rows=self._batch_rows,
            state=state,
        )

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> "_Partition":  # noqa: ARG002 (Bytewax names it)
        """Return partition `for_part`, after what `resume_state` says was delivered."""
        return _Partition(self.replayed(int(for_part), resume_state), self._progress)


class _Partition(StatefulSourcePartition[Batch, bytes]):
    def __init__(self, replayed: Replayed, progress: Progress) -> None:
        self._replayed, self._progress = replayed, progress
        self._finished = replayed.ended

    def next_batch(self) -> list[Batch]:
        """Return the events that are due, then the end of the partition, then stop."""
        if self._finished:
            raise StopIteration
        DRAIN.check()
        batches = [batch for _, batch in self._replayed.advance()]
        self._progress.done += sum(batch.tally.events_in for batch in batches)
        if self._replayed.ended:
            self._finished = True
            batches.append(self._replayed.finish())
        return batches

    def next_awake(self) -> datetime | None:
        """Return when to look again."""
        wait_s = self._replayed.wait_s
        return awake_in(max(wait_s, _LEAST_WAIT_S)) if wait_s else None

    def snapshot(self) -> bytes:
        """Return the position after what was delivered."""
        return self._replayed.snapshot()

    def close(self) -> None:
        """Read no more."""
        self._replayed.close()
