"""Reading Kafka, as all here do it: safe consumers, and the committed records of a range.

A batch that unpacks to more than `operators.unpack` allows, or a record that is broken inside, comes as a record that
says so in its header `REFUSED`, and the reading goes on behind it.
"""

import importlib.util
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import AuthorizationError, CorruptRecordError, KafkaError, KafkaTimeoutError
from kafka.net.compat import KafkaNetClient
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from kernels.errors import AuraError, AwayError, BadRecord, ConfigError
from operators.kafka_denied import denied, tls_context
from operators.kafka_records import REFUSED
from operators.unpack import unpack_batch

__all__ = [
    "ANSWER_MS",
    "ask",
    "connected",
    "end_offsets",
    "failed",
    "open_consumer",
    "reached",
    "read_committed",
    "topic_partitions",
]

ANSWER_MS = 10_000
"""A broker that does not answer for so long is away."""
_PATIENCE_S = 90  # longer than the transactions of other writers may stay open


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
        "retry_backoff_ms": 10,  # of the default of 100 the first poll takes two
        "max_partition_fetch_bytes": 2
        * 1024
        * 1024,  # larger answers are read slower: 375 MB/s at 2 MiB, 120 at 16
        "fetch_max_bytes": 8 * 1024 * 1024,
    }
    return connected(KafkaConsumer, options, ours | more)


def connected(client: Callable[..., Any], options: Mapping[str, Any], more: Mapping[str, Any]) -> Any:
    """Return a client of kafka-python; `AwayError` where no broker answers, `ConfigError` where one turns it down."""
    ours = {"bootstrap_timeout_ms": ANSWER_MS, "allow_auto_create_topics": False, "kafka_client": _Client}
    with reached(options) as context:
        return client(**{**ours, **options, **more, "ssl_context": context})


@contextmanager
def reached(options: Mapping[str, Any]) -> Iterator[ssl.SSLContext | None]:
    """Yield the TLS context of a client that is opened in the block; say why if no broker lets it in."""
    context = tls_context(options)
    try:
        yield context
    except KafkaTimeoutError as error:
        given = options["bootstrap_servers"]
        servers = given.split(",") if isinstance(given, str) else list(given)
        away = AwayError(f"no Kafka broker answers at {','.join(servers)}", "Start one with `make broker`")
        raise denied(options, servers) or away from error


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
        who = options.get("sasl_plain_username")
        hidden = f" that {who!r} may see" if who else ""  # Kafka does not tell such a one from none
        hint = "Make the topics with `aura topics apply`"
        hint += "; docs/security.md lists what each user must be granted" if who else ""
        raise AuraError(f"there is no topic {topic}{hidden}", hint)
    return found


def end_offsets(options: Mapping[str, Any], topic: str, partitions: int, **more: Any) -> list[int]:
    """Return the offsets behind the last record of partitions 0 to `partitions` - 1, committed or not."""
    parts = [TopicPartition(topic, k) for k in range(partitions)]
    with open_consumer(options, **({"isolation_level": "read_uncommitted"} | more)) as consumer:
        ends = ask(consumer.end_offsets, parts)
    return [ends[part] for part in parts]


def read_committed(
    options: Mapping[str, Any], starts: Mapping[tuple[str, int], int], *, patience_s: float = _PATIENCE_S
) -> Iterator[Any]:
    """Yield the committed records of partitions, from offsets to what is the end now.

    Parameters
    ----------
    options
        Of the connection.
    starts
        Offset by (topic, partition); one that retention has passed stands for the first there is.
    patience_s
        How long a transaction that is open there is waited for, whoever's it is.

    Raises
    ------
    AuraError
        It stays open, so that one cannot tell what is committed.
    """
    parts = [TopicPartition(*part) for part in starts]
    with open_consumer(options, isolation_level="read_uncommitted") as consumer:
        ends, firsts = ask(consumer.end_offsets, parts), ask(consumer.beginning_offsets, parts)
    begins = {part: max(starts[part], firsts[part]) for part in parts}
    left = {part for part in parts if begins[part] < ends[part]}
    if not left:
        return
    with open_consumer(options) as consumer:
        consumer.assign(parts)
        for part in parts:
            consumer.seek(part, begins[part])
        until_s = time.monotonic() + patience_s
        while left:
            found = consumer.poll(timeout_ms=20)
            for part, records in found.items():
                yield from (record for record in records if record.offset < ends[part])
            passed = {part for part in left if consumer.position(part) >= ends[part]}
            left -= passed
            until_s = time.monotonic() + patience_s if found or passed else until_s
            if time.monotonic() > until_s:
                raise _open_transaction(min(left), consumer.position(min(left)), patience_s)


def ask(
    offsets: Callable[..., dict[TopicPartition, int]], parts: list[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return the offsets that a method of a consumer gives; `AuraError` if the broker does not answer."""
    try:
        return offsets(parts, timeout_ms=ANSWER_MS)
    except KafkaError as error:
        raise failed(f"asking for the offsets of {parts[0].topic}", error) from error


def failed(what: str, error: KafkaError) -> AuraError:
    """Return the error of a run that Kafka has ended: an `AwayError` where it may answer later."""
    if isinstance(error, AuthorizationError):
        return ConfigError(
            f"{what} is not allowed: {error}", "Grant it: docs/security.md lists what each user needs"
        )
    kind = AwayError if error.retriable else AuraError
    hint = "See to the broker. Start again: the run goes on from its last snapshot, and writes nothing twice"
    return kind(f"{what} failed: {error!r}", hint)


def _open_transaction(part: TopicPartition, position: int, patience_s: float) -> AuraError:
    return AuraError(
        f"{part.topic}[{part.partition}]: a transaction is open at offset {position} for more than {patience_s:g} s",
        "Its writer has stopped half-way: `kafka-transactions.sh find-hanging` names it",
    )


class _Client(KafkaNetClient):  # type: ignore[misc] # kafka-python carries no types
    """Asks for the topics at once: kafka-python does not hand these options down, and each first use took 100 ms."""

    def __init__(self, **configs: Any) -> None:
        super().__init__(**configs)
        self.cluster.config |= {
            name: configs[name] for name in ("retry_backoff_ms", "allow_auto_create_topics")
        }


class _Batch(DefaultRecordBatch):  # type: ignore[misc] # kafka-python carries no types
    """A batch that cannot fill the memory, and whose broken records do not stop those behind them."""

    _buffer: bytearray
    _pos: int
    _num_records: int
    _next_record_index: int
    _decompressed: bool
    _refused: str | None = None

    def _maybe_uncompress(self) -> None:
        if self._decompressed:
            return
        self._decompressed = True
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
