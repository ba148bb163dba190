"""The topics of results as they grow, and what the flow says of itself: poll by poll, from shortly before the end on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.errors import KafkaError

from kernels.errors import AuraError, BadRecord
from operators.kafka_reader import ask, failed, open_consumer
from operators.kafka_results import TOPICS, decode_output
from operators.result_tables import Row

__all__ = ["WORDS", "CommittedReader", "Seen", "Word"]

WORDS = {"aura.health": "health", "aura.control": "control"}
"""The topics in which a flow speaks of itself, before the prefix of the configuration."""

_BEFORE = 2_000  # records of each partition that stand there already: the last minutes
_MAX_RECORDS = 2_048
_POLL_MS = 200
_WAITING = 64  # results of several records of which some are still to come


class Word(NamedTuple):
    """What a flow said of itself: in which of `WORDS`, who or what about, and the JSON."""

    kind: str
    key: str
    value: bytes


class Seen(NamedTuple):
    """A committed record: what it holds, and when it was written, by its writer's clock, seconds since 1970."""

    output: Row | Word
    at_s: float


class CommittedReader:
    """Reads the topics of results and of words, of which there are any.

    Parameters
    ----------
    options
        Of the connection.
    prefix
        Before the names of the topics.

    Raises
    ------
    AuraError
        No broker answers, or there is none of the topics.
    """

    def __init__(self, options: Mapping[str, Any], prefix: str) -> None:
        self._kinds = {prefix + name: kind for kind, name in TOPICS.items()}
        self._words = {prefix + name: kind for name, kind in WORDS.items()}
        self._waiting: dict[tuple[str, str], dict[int, Seen]] = {}
        self._consumer = open_consumer(options)
        parts = [
            TopicPartition(topic, number)
            for topic in (*self._kinds, *self._words)
            for number in sorted(self._consumer.partitions_for_topic(topic) or ())
        ]
        if not any(part.topic in self._kinds for part in parts):
            self.close()
            raise AuraError(
                f"there is none of the topics {', '.join(self._kinds)}",
                "Make them with `aura topics apply`, or name their prefix with --set kafka.prefix=",
            )
        firsts, ends = ask(self._consumer.beginning_offsets, parts), ask(self._consumer.end_offsets, parts)
        self._consumer.assign(parts)
        for part in parts:
            self._consumer.seek(part, max(firsts[part], ends[part] - _BEFORE))

    def poll(self) -> list[Seen]:
        """Return what was committed since the last call; what none of our sinks has written is left out."""
        try:
            found = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
        except KafkaError as error:
            self.close()
            raise failed("reading the results", error) from error
        return [seen for records in found.values() for record in records for seen in self._seen(record)]

    def close(self) -> None:
        """Read no more."""
        self._consumer.close(autocommit=False)

    def _seen(self, record: Any) -> Iterator[Seen]:
        key, value, at_s = (
            (record.key or b"").decode("utf-8", "replace"),
            record.value or b"",
            record.timestamp / 1e3,
        )
        if record.topic in self._words:
            yield Seen(Word(self._words[record.topic], key, value), at_s)
            return
        headers = dict(record.headers)
        try:
            seen = Seen(decode_output(self._kinds[record.topic], key, value, headers), at_s)
            number, count = map(int, headers.get("part", b"0/1").split(b"/"))
        except (BadRecord, ValueError):
            return
        yield from self._whole(
            (record.topic, key.removesuffix(f"/{number}") if number else key), seen, number, count
        )

    def _whole(self, about: tuple[str, str], seen: Seen, number: int, count: int) -> Iterable[Seen]:
        """Return all records of a result once they are there: a later one alone would seem to replace those before it."""
        if count <= 1:
            return (seen,)
        parts = self._waiting.pop(about, {}) if number else {}
        parts[number] = seen
        if len(parts) == count:
            return parts.values()
        self._waiting[about] = parts
        if len(self._waiting) > _WAITING:  # the first of it stood before the place at which reading began
            del self._waiting[next(iter(self._waiting))]
        return ()
