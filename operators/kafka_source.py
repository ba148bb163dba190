"""Events from a Kafka topic: one Bytewax partition per topic partition, whose position is part of its snapshot.

    position        the offset after what was delivered, not after what was fetched; kept in the recovery store. The
                    consumer group is told of it one snapshot late, so that lag tools see what is safe
    start           the first offset there is, if there is no snapshot
    offset is gone  the flow stops and says what was lost; it never skips
    until the end   the offsets that are the end when the source is made; kept in the snapshot, so that a restart
                    does not move them
    read_committed  what a producer aborted is not there

A batch that unpacks to more than `operators.unpack` allows, or a record that is broken inside, stands as a record that
says so: it becomes a dead letter, and the reading goes on behind it.
"""

import importlib.util
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import CorruptRecordError, KafkaError, KafkaTimeoutError, OffsetOutOfRangeError
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from kernels.errors import AuraError, BadRecord, ConfigError
from operators.batch import Batch
from operators.ingest import Ingest, IngestConfig
from operators.kafka_records import CONTENT_TYPES, REFUSED, Decoder
from operators.mapping import Mapping as ColumnMapping
from operators.progress import Progress
from operators.state import pack, unpack
from operators.unpack import unpack_batch

__all__ = ["KafkaSource", "open_consumer", "read_committed", "topic_partitions"]

_VERSION = 1
_ANSWER_MS = 10_000  # a broker that does not answer so long is away
_AWAKE = timedelta(milliseconds=5)  # after an empty poll, which takes 0.2 ms
_MAX_RECORDS = 8192  # a poll: 8,192 records of one row are decoded in 0.15 s, and hold up the epoch so long
_READ_S = 90  # longer than the transactions of other writers may stay open
_log = logging.getLogger(__name__)


class KafkaSource(FixedPartitionedSource[Batch, bytes]):
    """The events of a topic.

    Parameters
    ----------
    options
        Of the connection, as `flows.settings` gives them.
    topic
        Its name, prefix included.
    group
        The consumer group that is told of the position.
    config
        What to check.
    columns
        The columns that the flow knows.
    batch_rows
        Rows a batch, at most; the results do not depend on it.
    content_type
        Of a record without one: `frame`, `msgpack` or `json`.
    mapping
        Of rows as their producer names them.
    until_end
        Stop at what is the end now.
    idle_timeout_us
        A partition that is silent for so long is not waited for; None: it always is.
    progress
        Told of the rows read.
    max_records
        Records a poll.
    now
        A clock in seconds that never goes back.

    Raises
    ------
    AuraError
        There is no broker or no such topic, or checksums would be computed in Python.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        topic: str,
        group: str,
        config: IngestConfig,
        *,
        columns: Collection[str],
        batch_rows: int,
        content_type: str = "frame",
        mapping: ColumnMapping | None = None,
        until_end: bool = False,
        idle_timeout_us: int | None = None,
        progress: Progress,
        max_records: int = _MAX_RECORDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options, self.topic, self.group, self.config = dict(options), topic, group, config
        self.idle_timeout_us, self.progress, self.max_records, self.now = (
            idle_timeout_us,
            progress,
            max_records,
            now,
        )
        self._decoding: dict[str, Any] = {"columns": columns, "mapping": mapping, "batch_rows": batch_rows}
        self._decoding["default"] = CONTENT_TYPES[content_type]
        parts = [TopicPartition(topic, k) for k in range(topic_partitions(options, topic))]
        self.ends: list[int | None] = [None] * len(parts)
        if until_end:
            with open_consumer(options) as consumer:
                ends = _ask(consumer.end_offsets, parts)
            self.ends = [ends[part] for part in parts]

    def list_parts(self) -> list[str]:
        """Return the names of the partitions."""
        return [str(k) for k in range(len(self.ends))]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> "_Partition":  # noqa: ARG002 (Bytewax names it)
        """Return partition `for_part`, after what `resume_state` says was delivered."""
        number = int(for_part)
        return _Partition(self, number, Decoder(self.topic, number, **self._decoding), resume_state)


class _Partition(StatefulSourcePartition[Batch, bytes]):
    def __init__(
        self, source: KafkaSource, number: int, decoder: Decoder, resume_state: bytes | None
    ) -> None:
        self._source, self._decoder = source, decoder
        self._part = TopicPartition(source.topic, number)
        state = unpack("kafka_source", _VERSION, resume_state) if resume_state is not None else {}
        self._ingest, self._ended = Ingest(source.config, state.get("ingest")), state.get("ended", False)
        self._end: int | None = source.ends[number]
        if self._end is not None and state.get("end") is not None:
            self._end = state["end"]
        self._consumer = open_consumer(source.options, group_id=source.group)
        self._consumer.assign([self._part])
        self._next = self._start(state.get("next"))
        self._consumer.seek(self._part, self._next)
        self._delivered_s, self._idle, self._polled_in_vain = source.now(), False, False
        self._durable, self._committing = self._next, False

    def next_batch(self) -> list[Batch]:
        """Return what has arrived, then the end of the partition, then stop."""
        if self._ended:
            raise StopIteration
        if self._end is not None and self._next >= self._end:
            self._ended = True
            return [self._ingest.finish(self._decoder.nowhere())]
        found = self._poll()
        self._polled_in_vain = not found
        if not found:
            return self._pause()
        batches = []
        for columns, origin, broker_us, names, dead in self._decoder.decode(found):
            batches.append(self._ingest.accept(columns, origin, broker_us=broker_us, names=names, dead=dead))
            self._source.progress.done += batches[-1].tally.events_in
        self._delivered_s, self._idle = self._source.now(), False
        return batches

    def next_awake(self) -> datetime | None:
        """Return when to look again: soon if there was nothing, else at once."""
        return datetime.now(UTC) + _AWAKE if self._polled_in_vain else None

    def snapshot(self) -> bytes:
        """Return the position after what was delivered; tell the group of the snapshot before this one."""
        if self._durable != self._next and not self._committing:
            self._committing = True
            self._consumer.commit_async(
                {self._part: OffsetAndMetadata(self._durable, "", -1)}, self._committed
            )
        self._durable = self._next
        state = {
            "next": self._next,
            "end": self._end,
            "ended": self._ended,
            "ingest": self._ingest.snapshot(),
        }
        return pack("kafka_source", _VERSION, state)

    def close(self) -> None:
        """Tell the group of the last position."""
        try:
            self._consumer.commit({self._part: OffsetAndMetadata(self._next, "", -1)}, timeout_ms=_ANSWER_MS)
        except KafkaError as error:
            self._committed({}, error)
        self._consumer.close(autocommit=False)

    def _start(self, position: int | None) -> int:
        """Return the offset to read from; refuse one that there is no more."""
        first = int(_ask(self._consumer.beginning_offsets, [self._part])[self._part])
        end = int(_ask(self._consumer.end_offsets, [self._part])[self._part])
        if position is None:
            return first
        if not first <= position <= end:
            raise self._gone(position, first, end)
        return int(position)

    def _poll(self) -> list[Any]:
        try:
            found = self._consumer.poll(timeout_ms=0, max_records=self._source.max_records).get(
                self._part, []
            )
            position = int(self._consumer.position(self._part))
        except OffsetOutOfRangeError:
            raise self._gone(self._next, self._start(None), None) from None
        except KafkaError as error:
            raise _failed(f"reading {self._place()} from offset {self._next}", error) from error
        if self._end is not None:
            position = min(position, self._end)
            found = [record for record in found if record.offset < self._end]
        self._next = position
        return found

    def _pause(self) -> list[Batch]:
        timeout_us = self._source.idle_timeout_us
        if self._idle or timeout_us is None or (self._source.now() - self._delivered_s) * 1e6 < timeout_us:
            return []
        self._idle = True
        return [self._ingest.pause(self._decoder.nowhere())]

    def _committed(self, offsets: Any, error: object) -> None:  # noqa: ARG002 (kafka-python names it)
        self._committing = False
        if isinstance(error, Exception):
            _log.warning(
                "group %s was not told of the position of %s: %r", self._source.group, self._place(), error
            )

    def _place(self) -> str:
        return f"{self._part.topic}[{self._part.partition}]"

    def _gone(self, position: int, first: int, end: int | None) -> AuraError:
        if position < first:
            what = (
                f"offsets {position} to {first - 1} are gone: retention has passed them before they were read"
            )
        else:
            what = f"there is no offset {position}, the next one is {end}: the topic was made anew, or has lost records"
        return AuraError(
            f"{self._place()}: {what}",
            "Results that need them would be wrong. Replay them from an archive, or begin anew with an empty recovery "
            f"directory: then the run starts at offset {first}",
        )


def open_consumer(options: Mapping[str, Any], **more: Any) -> KafkaConsumer:
    """Return a consumer for manual assignment, of committed records alone unless `more` says otherwise.

    Raises
    ------
    AuraError
        No broker answers, or checksums would be computed in Python.
    """
    if importlib.util.find_spec("crc32c") is None:
        raise ConfigError(
            "the package crc32c is not installed: checksums would be computed in Python, at 10 MB/s",
            "Install kafka-python with its extra: pip install 'kafka-python[crc32c]'",
        )
    ours = {
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "retry_backoff_ms": 10,  # of the default of 100 the first poll takes two
        "bootstrap_timeout_ms": _ANSWER_MS,
        "max_partition_fetch_bytes": 2
        * 1024
        * 1024,  # larger answers are read slower: 375 MB/s at 2 MiB, 120 at 16
        "fetch_max_bytes": 8 * 1024 * 1024,
    }
    try:
        return KafkaConsumer(**(ours | dict(options) | more))
    except KafkaTimeoutError as error:
        servers = ",".join(options["bootstrap_servers"])
        raise AuraError(f"no Kafka broker answers at {servers}", "Start one with `make broker`") from error


def topic_partitions(options: Mapping[str, Any], topic: str) -> int:
    """Return how many partitions a topic has.

    Raises
    ------
    AuraError
        There is no such topic.
    """
    with open_consumer(options) as consumer:
        found = len(consumer.partitions_for_topic(topic))
    if not found:
        raise AuraError(f"there is no topic {topic}", "Make the topics with `aura topics apply`")
    return found


def read_committed(
    options: Mapping[str, Any], starts: Mapping[TopicPartition, int], *, read_s: float = _READ_S
) -> Iterator[Any]:
    """Yield the committed records of partitions, from offsets to what is the end now, transactions that are open included.

    Raises
    ------
    AuraError
        A transaction stays open, so that one cannot tell what is committed.
    """
    with open_consumer(options, isolation_level="read_uncommitted") as consumer:
        ends = _ask(consumer.end_offsets, list(starts))
        firsts = _ask(consumer.beginning_offsets, list(starts))
    wanted = {part for part, start in starts.items() if max(start, firsts[part]) < ends[part]}
    if not wanted:
        return
    with open_consumer(options) as consumer:
        consumer.assign(list(wanted))
        for part in wanted:
            consumer.seek(part, max(starts[part], firsts[part]))
        until_s = time.monotonic() + read_s
        while wanted:
            found = consumer.poll(timeout_ms=20)
            for part, records in found.items():
                yield from (record for record in records if record.offset < ends[part])
            wanted = {part for part in wanted if consumer.position(part) < ends[part]}
            until_s = time.monotonic() + read_s if found else until_s
            if wanted and time.monotonic() > until_s:
                part = min(wanted)
                raise AuraError(
                    f"{part.topic}[{part.partition}]: a transaction is open at offset {consumer.position(part)} for "
                    f"more than {read_s:g} s",
                    "Its writer has stopped half-way: `kafka-transactions.sh find-hanging` names it",
                )


def _ask(
    offsets: Callable[..., dict[TopicPartition, int]], parts: list[TopicPartition]
) -> dict[TopicPartition, int]:
    try:
        return offsets(parts, timeout_ms=_ANSWER_MS)
    except KafkaError as error:
        raise _failed(f"asking for the offsets of {parts[0].topic}", error) from error


def _failed(what: str, error: KafkaError) -> AuraError:
    return AuraError(
        f"{what} failed: {error!r}", "See to the broker and start again: the run resumes where it was"
    )


class _Batch(DefaultRecordBatch):
    """A batch that cannot fill the memory, and whose broken records do not stop those behind them."""

    __slots__ = ("_refused",)

    def _maybe_uncompress(self) -> None:
        if self._decompressed:
            return
        self._decompressed, self._refused = True, None
        if self.compression_type != self.CODEC_NONE:
            packed = bytes(memoryview(self._buffer)[self._pos :])
            try:
                self._buffer, self._pos = bytearray(unpack_batch(self.compression_type, packed)), 0
            except BadRecord as error:
                self._refused = f"{error.reason} {self._num_records} records: {error}"
                self._buffer, self._pos, self._num_records = bytearray(packed), 0, 1

    def __next__(self) -> DefaultRecord:
        start = self._pos
        if self._refused is not None and self._next_record_index < self._num_records:
            return self._stand_in(self._refused, self.base_offset, start, len(self._buffer))
        try:
            return super().__next__()
        except CorruptRecordError as error:
            if self._next_record_index >= self._num_records:
                raise
            return self._skip(start, str(error))

    def _skip(self, start: int, why: str) -> DefaultRecord:
        """Return the stand-in of the record at `start`, or of the rest of the batch if its size is nonsense."""
        buffer, fields, at = self._buffer, [], start
        try:
            for _ in range(4):  # length, attributes, time, offset
                value, at = decode_varint(buffer, at)
                fields.append((value, at))
            end = fields[0][0] + fields[0][1]
            if at <= end <= len(buffer):
                return self._stand_in(f"malformed {why}", self.base_offset + fields[3][0], start, end)
        except (IndexError, ValueError):
            pass
        self._num_records = self._next_record_index + 1
        return self._stand_in(f"malformed {why}", self.last_offset, start, len(buffer))

    def _stand_in(self, why: str, offset: int, start: int, end: int) -> DefaultRecord:
        self._next_record_index += 1
        self._pos = end
        value, headers = bytes(self._buffer[start:end]), [(REFUSED, why.encode())]
        return DefaultRecord(
            end - start, offset, self.max_timestamp, self.timestamp_type, None, value, headers
        )


# kafka-python unpacks gzip and zstd without bound, and ends at a header that is no UTF-8; it has no hook for either.
memory_records.DefaultRecordBatch = _Batch
