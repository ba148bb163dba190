"""Reading Kafka, as all here do it: safe consumers, and the committed records of a range.

What is broken inside is read as `operators.kafka_batch` says.
"""

import importlib.util
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import AuthorizationError, KafkaError, KafkaTimeoutError
from kafka.net.compat import KafkaNetClient

from kernels.errors import AuraError, AwayError, ConfigError
from operators import kafka_batch
from operators.kafka_denied import denied, tls_context

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

kafka_batch.install()

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
        # Now and then a commit does not wake the fetch that waits for it, which then takes all of its 500 ms.
        "fetch_max_wait_ms": 50,
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


def read_committed(options: Mapping[str, Any], starts: Mapping[tuple[str, int], int]) -> Iterator[Any]:
    """Yield the committed records of partitions, from offsets to what is the end now.

    Parameters
    ----------
    options
        Of the connection.
    starts
        Offset by (topic, partition); one that retention has passed stands for the first there is.

    Raises
    ------
    AuraError
        A transaction, whoever's it is, stays open there, so that one cannot tell what is committed.
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
        until_s = time.monotonic() + _PATIENCE_S
        while left:
            found = consumer.poll(timeout_ms=20)
            for part, records in found.items():
                yield from (record for record in records if record.offset < ends[part])
            passed = {part for part in left if consumer.position(part, timeout_ms=0) >= ends[part]}
            left -= passed
            until_s = time.monotonic() + _PATIENCE_S if found or passed else until_s
            if time.monotonic() > until_s:
                raise _open_transaction(min(left), consumer.position(min(left), timeout_ms=0))


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


def _open_transaction(part: TopicPartition, position: int) -> AuraError:
    return AuraError(
        f"{part.topic}[{part.partition}]: a transaction is open at offset {position} for more than {_PATIENCE_S} s",
        "Its writer has stopped half-way: `kafka-transactions.sh find-hanging` names it",
    )


class _Client(KafkaNetClient):  # type: ignore[misc] # kafka-python carries no types
    """Asks for the topics at once: kafka-python does not hand these options down, and each first use took 100 ms."""

    def __init__(self, **configs: Any) -> None:
        super().__init__(**configs)
        self.cluster.config |= {
            name: configs[name] for name in ("retry_backoff_ms", "allow_auto_create_topics")
        }
