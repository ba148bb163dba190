"""The topics of results as they grow: the committed outputs, poll by poll, from shortly before the end on."""

from collections.abc import Mapping
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError

from kernels.errors import AuraError, BadRecord
from operators.kafka_reader import ask, failed, open_consumer
from operators.kafka_results import TOPICS, decode_output
from operators.result_tables import Row

__all__ = ["CommittedReader"]

_BEFORE = 2_000  # records of each partition that stand there already: the last minutes
_MAX_RECORDS = 2_048
_POLL_MS = 200


class CommittedReader:
    """Reads the topics of results of which there are any.

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
        self._consumer = open_consumer(options)
        parts = [
            TopicPartition(topic, number)
            for topic in self._kinds
            for number in sorted(self._consumer.partitions_for_topic(topic) or ())
        ]
        if not parts:
            self.close()
            raise AuraError(
                f"there is none of the topics {', '.join(self._kinds)}",
                "Make them with `aura topics apply`, or name their prefix with --set kafka.prefix=",
            )
        firsts, ends = ask(self._consumer.beginning_offsets, parts), ask(self._consumer.end_offsets, parts)
        self._consumer.assign(parts)
        for part in parts:
            self._consumer.seek(part, max(firsts[part], ends[part] - _BEFORE))

    def poll(self) -> list[Row]:
        """Return what was committed since the last call; what none of our sinks has written is left out."""
        try:
            found = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
        except KafkaError as error:
            self.close()
            raise failed("reading the results", error) from error
        return [row for records in found.values() for record in records for row in self._decoded(record)]

    def close(self) -> None:
        """Read no more."""
        self._consumer.close(autocommit=False)

    def _decoded(self, record: Any) -> list[Row]:
        try:
            key = (record.key or b"").decode("utf-8", "replace")
            return [decode_output(self._kinds[record.topic], key, record.value or b"", dict(record.headers))]
        except BadRecord:
            return []
