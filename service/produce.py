"""`aura produce`: events into the topic, partition by partition as the flow expects them.

    partition   the logical partition of the file or of the simulation: the topic must have as many
    order       each partition's own; the partitions are merged by event time, so that none runs ahead
    key         of a record of one row the agent, as text; of all others none
    ids         the text of each hashed id, once, in the compacted topic aura.ids; a frame carries those of its agents
    dead rows   rows of a file that are no events go first, whole, so that the flow counts them as dead letters

So a run over the topic gives what a run over the file does.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kernels.errors import BadRecord, ConfigError
from kernels.frame import FRAME_TYPE, encode_frame
from kernels.hashing import partition_of
from kernels.row_writer import encode_rows
from kernels.rows import Encoding
from kernels.schema import MAX_RECORD_BYTES, MAX_RECORD_EVENTS
from operators.batch import length
from operators.kafka_reader import topic_partitions
from operators.partitioned import DeadRow, PartitionRows
from operators.progress import Progress
from service.pacing import Chunk, Pace, bursts
from service.sender import Encoded, Sender

__all__ = ["Form", "Produced", "chunks_of_file", "encode_chunk", "produce"]

Form = Literal["frame", "rows-msgpack", "rows-json"]

_ROWS_TYPES = {
    "rows-msgpack": "application/vnd.aura.rows+msgpack",
    "rows-json": "application/vnd.aura.rows+json",
}
_BURST_ROWS = 1024  # rows that are encoded at once, where a record has fewer


@dataclass(frozen=True, slots=True)
class Produced:
    """What has been sent: records with those of the ids; and in how many seconds."""

    events: int
    dead_rows: int
    records: int
    bytes: int
    seconds: float


def chunks_of_file(part: PartitionRows) -> list[Chunk]:
    """Return the events of a partition of a file."""
    return [Chunk(part.columns, part.names)]


def produce(
    options: Mapping[str, Any],
    topic: str,
    parts: Sequence[Iterable[Chunk]],
    *,
    dead: Sequence[Sequence[DeadRow]] = (),
    ids_topic: str,
    form: Form = "frame",
    per_record: int | None = None,
    pace: Pace | None = None,
    traced: Callable[[str, int], Mapping[str, str]] | None = None,
    progress: Progress,
) -> Produced:
    """Send the events of partitions, and wait until the broker has them.

    Parameters
    ----------
    options
        Of the connection.
    topic, ids_topic
        Of the events and of the texts of ids, prefix included.
    parts
        The chunks of each partition.
    dead
        The rows of each partition that are no events.
    form, per_record
        What a record is, and how many rows it has at most; None: 65,536 in a frame, 1 otherwise.
    pace
        When they are due; None: at once.
    traced
        Returns further headers of the next record, given topic and partition.
    progress
        Told of the events sent.

    Raises
    ------
    ConfigError
        The topic has another number of partitions.
    AuraError
        The broker does not take them; what it has taken stays there.
    """
    _check_partitions(options, topic, len(parts))
    rows = per_record or (MAX_RECORD_EVENTS if form == "frame" else 1)
    burst_rows = rows if form == "frame" else max(rows, _BURST_ROWS // rows * rows)
    pace, start_s = pace or Pace(), time.monotonic()
    events, headers = 0, {"content-type": _ROWS_TYPES.get(form, FRAME_TYPE)}
    with Sender(options) as sender:
        for number, letters in enumerate(dead):
            for letter in letters:
                whole = (None, letter.value[:MAX_RECORD_BYTES])
                sender.send(topic, number, whole, {"content-type": letter.content_type})
        ids = _Ids(sender, ids_topic, topic_partitions(options, ids_topic))
        for burst in bursts(parts, rows=burst_rows, pace=pace):
            pace.wait(burst)
            ids.send(burst.chunk)
            for record in encode_chunk(burst.chunk, form, rows):
                more = traced(topic, burst.partition) if traced is not None else {}
                sender.send(topic, burst.partition, record, {**headers, **more})
            events += length(burst.chunk.columns)
            progress.done = events
    seconds, sent = time.monotonic() - start_s, sender.sent
    return Produced(events, sum(map(len, dead)), sent.records, sent.bytes, seconds)


def encode_chunk(chunk: Chunk, form: Form, per_record: int) -> list[Encoded]:
    """Return events as records of at most `per_record` rows, fewer where a record would be over 8 MiB."""
    columns, names = chunk
    agents = columns["agent_id"]
    if names:
        names = {agent: names[agent] for agent in np.unique(agents).tolist() if agent in names}
    try:
        if form == "frame":
            return [(None, encode_frame(columns, names=names))]
        encoding: Encoding = "msgpack" if form == "rows-msgpack" else "json"
        values = encode_rows(columns, encoding, per_record=per_record, names=names)
    except BadRecord as error:
        size = len(agents)
        if size == 1 or error.reason != "too_large":
            raise
        halves = (slice(0, size // 2), slice(size // 2, size))
        return [
            record
            for half in halves
            for record in encode_chunk(
                Chunk({n: v[half] for n, v in columns.items()}, names), form, per_record
            )
        ]
    if per_record > 1:
        return [(None, value) for value in values]
    keys = (names.get(agent, str(agent)).encode() for agent in agents.tolist())
    return list(zip(keys, values, strict=True))


class _Ids:
    """The topic of the texts of ids: each is sent once."""

    def __init__(self, sender: Sender, topic: str, partitions: int) -> None:
        self._sender, self._topic, self._partitions = sender, topic, partitions
        self._sent: set[int] = set()
        self._seen: list[dict[int, str]] = []  # a partition of a file has one table for all of its chunks

    def send(self, chunk: Chunk) -> None:
        """Send those that are new."""
        if not chunk.names or any(names is chunk.names for names in self._seen):
            return
        self._seen.append(chunk.names)
        new = {agent: text for agent, text in chunk.names.items() if agent not in self._sent}
        if not new:
            return
        parts = partition_of(np.fromiter(new, np.uint64, len(new)), self._partitions)
        for (agent, text), partition in zip(new.items(), parts.tolist(), strict=True):
            self._sender.send(
                self._topic, partition, (str(agent).encode(), text.encode()), {"content-type": "text/plain"}
            )
        self._sent |= new.keys()


def _check_partitions(options: Mapping[str, Any], topic: str, partitions: int) -> None:
    found = topic_partitions(options, topic)
    if found != partitions:
        raise ConfigError(
            f"topic {topic} has {found} partitions, and the input is split into {partitions}: events would not stand "
            "where the flow looks for them",
            f"Set input.partitions = {found}",
        )
