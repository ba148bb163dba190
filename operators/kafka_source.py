"""Events from a Kafka topic: one Bytewax partition per topic partition, whose position is part of its snapshot.

    position        the offset after what was delivered, not after what was fetched; kept in the recovery store. The
                    consumer group is told of it one snapshot late, so that lag tools see what is safe
    start           the first offset there is, if there is no snapshot
    offset is gone  the flow stops and says what was lost; it never skips
    until the end   the offsets that are the end when the source is made; kept in the snapshot, so that a restart does
                    not move them
    read_committed  what a producer aborted is not there

A partition that has come to its end stays ended, whatever is written later: its watermark is at infinity.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from kafka import OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from kernels.errors import LostError
from operators.batch import Batch
from operators.drain import DRAIN
from operators.guard import failing
from operators.ingest import Ingest, IngestConfig
from operators.kafka_reader import ANSWER_MS, ask, end_offsets, failed, open_consumer, topic_partitions
from operators.kafka_records import CONTENT_TYPES, Decoder, Record
from operators.mapping import Mapping as ColumnMapping
from operators.pace import awake_in
from operators.progress import Progress
from operators.state import pack, unpack

__all__ = ["KafkaSource", "topic_partitions"]

_VERSION = 1
_AWAKE_MS = (
    5  # after empty polls, which take 0.2 ms each; 1 after the first, since data that flow are there soon
)
_MAX_RECORDS = 8192  # a poll: 8,192 records of one row are decoded in 0.15 s, and hold up the epoch so long
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
        partitions = topic_partitions(options, topic)
        self.ends: list[int | None] = [None] * partitions
        if until_end:
            self.ends = [*end_offsets(options, topic, partitions, isolation_level="read_committed")]

    def list_parts(self) -> list[str]:
        """Return the names of the partitions."""
        return [str(k) for k in range(len(self.ends))]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> "_Partition":  # noqa: ARG002 (Bytewax names it)
        """Return partition `for_part`, after what `resume_state` says was delivered."""
        number = int(for_part)
        return _Partition(self, number, Decoder(self.topic, number, **self._decoding), resume_state)


class _Partition(StatefulSourcePartition[Batch, bytes]):
    traced = False  # whether somebody wants to know which records are part of a trace

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
        try:
            self._consumer.assign([self._part])
            self._next: int = state["next"] if self._ended else self._start(state.get("next"))
            self._consumer.seek(self._part, self._next)
        except BaseException:
            self._consumer.close(autocommit=False, timeout_ms=ANSWER_MS)
            raise
        self._silent_s: float | None = (
            None  # since when polls have brought nothing: a stall of ours is no silence
        )
        self._idle, self._polled_in_vain = False, 0
        self._durable = self._next  # what the snapshot before this one has
        self._told: int | None = None  # what the group was told
        self._traceparents: dict[int, str] = {}

    def next_batch(self) -> list[Batch]:
        """Return what has arrived, then the end of the partition, then stop."""
        if self._ended:
            raise StopIteration
        DRAIN.check()
        if self._end is not None and self._next >= self._end:
            self._ended = True
            return [self._ingest.finish(self._decoder.nowhere())]
        found = self._poll()
        self._polled_in_vain = 0 if found else self._polled_in_vain + 1
        if not found:
            return self._pause()
        batches = []
        with failing("source", f"{self._place()} offset {found[0].offset} to {found[-1].offset}"):
            for columns, origin, broker_us, names, dead in self._decoder.decode(found):
                batch = self._ingest.accept(columns, origin, broker_us=broker_us, names=names, dead=dead)
                batches.append(batch)
                if self._traceparents:
                    traced = map(self._traceparents.get, origin.offsets.tolist())
                    batch.trace = next(filter(None, traced), "")
                self._source.progress.done += batch.tally.events_in
        self._silent_s, self._idle = None, False
        return batches

    def next_awake(self) -> datetime | None:
        """Return when to look again: soon if there was nothing, else at once."""
        if not self._polled_in_vain:
            return None
        return awake_in(min(self._polled_in_vain, _AWAKE_MS) / 1000)

    @property
    def lag(self) -> int | None:
        """Records that the broker has beyond what was delivered; None before its first answer."""
        end = self._consumer.highwater(self._part)
        return None if end is None else max(0, int(end) - self._next)

    def snapshot(self) -> bytes:
        """Return the position after what was delivered; tell the group of the snapshot before this one."""
        if self._durable != self._told:
            self._told = self._durable
            offsets = {self._part: OffsetAndMetadata(self._durable, "", -1)}
            self._consumer.commit_async(offsets, self._on_told)
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
            self._consumer.commit({self._part: OffsetAndMetadata(self._next, "", -1)}, timeout_ms=ANSWER_MS)
        except KafkaError as error:
            self._on_told(None, error)
        self._consumer.close(autocommit=False, timeout_ms=ANSWER_MS)

    def _start(self, position: int | None) -> int:
        """Return the offset to read from; refuse one that there is no more."""
        first = int(ask(self._consumer.beginning_offsets, [self._part])[self._part])
        end = int(ask(self._consumer.end_offsets, [self._part])[self._part])
        if position is None:
            return first
        if not first <= position <= end:
            raise self._gone(position, first, end)
        return position

    def _poll(self) -> list[Record]:
        """Return the records that have arrived; move the position behind them."""
        try:
            polled = self._consumer.poll(timeout_ms=0, max_records=self._source.max_records)
            # Without a time limit it waits for the leader that a dead broker's partitions do not have yet.
            self._next = int(self._consumer.position(self._part, timeout_ms=0))
        except KafkaError as error:
            if isinstance(error, OffsetOutOfRangeError):
                self._start(self._next)  # says what is gone
            raise failed(f"reading {self._place()} from offset {self._next}", error) from error
        found: list[Record] = polled.get(self._part, [])
        self._traceparents = _traceparents(found) if self.traced else {}
        if self._end is None:
            return found
        self._next = min(self._next, self._end)
        return [record for record in found if record.offset < self._end]

    def _pause(self) -> list[Batch]:
        timeout_us, now_s = self._source.idle_timeout_us, self._source.now()
        self._silent_s = now_s if self._silent_s is None else self._silent_s
        if self._idle or timeout_us is None or (now_s - self._silent_s) * 1e6 < timeout_us:
            return []
        self._idle = True
        return [self._ingest.pause(self._decoder.nowhere())]

    def _on_told(self, offsets: object, answer: object) -> None:  # noqa: ARG002 (kafka-python names it)
        if isinstance(answer, Exception):  # the position that counts is in the snapshot
            self._told = None
            _log.warning(
                "group %s does not know the position of %s: %r", self._source.group, self._place(), answer
            )

    def _place(self) -> str:
        return f"{self._part.topic}[{self._part.partition}]"

    def _gone(self, position: int, first: int, end: int) -> LostError:
        what = f"offsets {position} to {first - 1} are gone: retention has passed them before they were read"
        if position > end:
            what = f"there is no offset {position}, the next one is {end}: the topic was made anew, or has lost records"
        return LostError(
            f"{self._place()}: {what}",
            "Results that need them would be wrong. Replay them from an archive, or begin anew with an empty recovery "
            f"directory: then the run starts at offset {first}",
        )


def _traceparents(records: list[Record]) -> dict[int, str]:
    """Return the W3C traceparent of the records that have one, by offset."""
    return {
        record.offset: (value or b"").decode("ascii", "replace")
        for record in records
        for name, value in record.headers
        if name == "traceparent"
    }
