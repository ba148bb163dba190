"""The reader of committed results as they grow, against a real broker."""

import time
from collections.abc import Callable

import numpy as np
from kafka import KafkaProducer

from operators.cells import Cells
from operators.committed_reader import CommittedReader, Seen, Word
from operators.kafka_results import Message, encode_output

ROWS = 200_000


def _large() -> list[Message]:
    """Return the records of a result that is too large for one."""
    rows = np.arange(ROWS)
    columns = {
        "window": np.zeros(ROWS, np.int16),
        "start_us": np.zeros(ROWS, np.int64),
        "end_us": np.ones(ROWS, np.int64),
    }
    columns |= {name: rows.astype(np.int32) for name in ("cx", "cy", "cz")}
    columns |= {"count": rows, "revision": np.zeros(ROWS, np.int32)}
    return list(encode_output(Cells(3, columns, ["second"])))


def _send(producer: KafkaProducer, topic: str, message: Message) -> None:
    headers = [*message.headers, ("revision", b"0")]
    producer.send(topic, message.value, message.key.encode(), headers=headers, partition=0).get(30)


def _polled(reader: CommittedReader, many: int) -> list[list[Seen]]:
    found, end_s = list[list[Seen]](), time.monotonic() + 60
    while sum(map(len, found)) < many:
        assert time.monotonic() < end_s
        if seen := reader.poll():
            found.append(seen)
    return found


def test_the_records_of_a_result_come_together(kafka: str, topics: Callable[..., str]) -> None:
    """A result of several records comes once all of them are there, in one poll; words come with their key and time."""
    prefix, parts = topics(), _large()
    assert len(parts) > 1
    producer = KafkaProducer(bootstrap_servers=kafka, max_request_size=2**23)
    before_s = time.time()
    for part in parts[:-1]:
        _send(producer, f"{prefix}aura.cells", part)
    producer.send(f"{prefix}aura.health", b"{}", b"flow/0", partition=0).get(30)
    reader = CommittedReader({"bootstrap_servers": [kafka]}, prefix)
    (word,) = (seen for polled in _polled(reader, 1) for seen in polled)
    assert word.output == Word("health", "flow/0", b"{}")
    assert before_s - 1 < word.at_s < time.time() + 1
    _send(producer, f"{prefix}aura.cells", parts[-1])
    producer.close(timeout=30)
    (together,) = _polled(reader, len(parts))
    assert sum(len(seen.output) for seen in together) == ROWS  # type: ignore[arg-type]
    reader.close()
