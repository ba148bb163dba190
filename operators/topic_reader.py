"""The records of a topic, poll by poll: from the offsets that its owner names, each poll with the offset behind it.

An offset that retention has passed is an error that says what is lost; reading never skips.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.errors import KafkaError

from kernels.errors import AuraError
from operators.kafka_reader import ask, failed, open_consumer
from operators.kafka_records import Record

__all__ = ["Polled", "TopicReader", "offset_bounds"]

_MAX_RECORDS = 8192  # a poll: decoded in 0.15 s


class Polled(NamedTuple):
    """What a poll brought of a partition; `end` is the offset behind it, with what was aborted and the markers."""

    partition: int
    records: Sequence[Record]
    end: int


class TopicReader:
    """Reads partitions of a topic; closed by `with`.

    Parameters
    ----------
    options
        Of the connection.
    topic
        Its name, prefix included.
    starts
        The offset to begin at, by partition.
    ends
        The offset to stop at, by partition; None: never.

    Raises
    ------
    AuraError
        There is no broker, or a start that is not there any more.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        topic: str,
        starts: Mapping[int, int],
        ends: Mapping[int, int] | None = None,
    ) -> None:
        self._topic, self._next, self._ends = topic, dict(starts), ends
        self._parts = [TopicPartition(topic, partition) for partition in starts]
        self._consumer = open_consumer(options)
        try:
            self._check()
        except BaseException:
            self._consumer.close(autocommit=False)
            raise
        self._consumer.assign(self._parts)
        for part in self._parts:
            self._consumer.seek(part, starts[part.partition])

    def __enter__(self) -> "TopicReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close(autocommit=False)

    @property
    def ended(self) -> bool:
        """Whether all of what was there has been read."""
        return self._ends is not None and all(at >= self._ends[k] for k, at in self._next.items())

    def poll(self, timeout_ms: int) -> Iterator[Polled]:
        """Yield what has arrived, the partitions whose position has moved only."""
        try:
            found = self._consumer.poll(timeout_ms=timeout_ms, max_records=_MAX_RECORDS)
            ends = {part.partition: int(self._consumer.position(part, timeout_ms=0)) for part in self._parts}
        except KafkaError as error:
            self._check()  # says what is gone
            raise failed(f"reading {self._topic}", error) from error
        for part in self._parts:
            number = part.partition
            last = ends[number] if self._ends is None else min(ends[number], self._ends[number])
            if last > self._next[number]:
                self._next[number] = last
                yield Polled(number, [r for r in found.get(part, []) if r.offset < last], last)

    def _check(self) -> None:
        """Refuse to go on at an offset that there is not."""
        firsts = ask(self._consumer.beginning_offsets, self._parts)
        ends = ask(self._consumer.end_offsets, self._parts)
        for part in self._parts:
            at = self._next[part.partition]
            if firsts[part] <= at <= ends[part]:
                continue
            what = f"offsets {at} to {firsts[part] - 1} are gone: retention has passed them before they were read"
            if at > ends[part]:
                what = f"there is no offset {at}, the next one is {ends[part]}: the topic was made anew, or has lost records"
            raise AuraError(
                f"{part.topic}[{part.partition}]: {what}",
                "What is there now can go into an archive of its own",
            )


def offset_bounds(
    options: Mapping[str, Any], topic: str, partitions: int
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the first offset of each partition, and the one behind the last committed record."""
    parts = [TopicPartition(topic, k) for k in range(partitions)]
    with open_consumer(options) as consumer:
        found = ask(consumer.beginning_offsets, parts), ask(consumer.end_offsets, parts)
    firsts, ends = ({part.partition: int(offset) for part, offset in bound.items()} for bound in found)
    return firsts, ends
