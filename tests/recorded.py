"""A minute of a topic as producers write it: frames and rows of any size, late, wrong and broken ones; and its archive."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kafka import KafkaProducer

from flows.settings import Settings, load
from kernels.frame import encode_frame
from kernels.row_writer import encode_rows
from kernels.schema import Columns
from operators.progress import Progress
from service.archive import archive_topic

__all__ = [
    "BEGIN_US",
    "FRAME",
    "PARTITIONS",
    "SECOND_US",
    "SETTINGS",
    "SPAN_S",
    "archive",
    "events",
    "records_of",
    "send",
    "settings_for",
]

PARTITIONS = 3
BEGIN_US = 1_767_225_600_000_000
SECOND_US = 1_000_000
SPAN_S = 60
FRAME, ROWS, JSON = (
    [("content-type", f"application/vnd.aura.{kind}".encode())]
    for kind in ("frame", "rows+msgpack", "rows+json")
)
SETTINGS = {"max.message.bytes": "8454144", "message.timestamp.type": "LogAppendTime"}

Record = tuple[bytes, list[tuple[str, bytes]]]


def settings_for(kafka: str, **overrides: object) -> Settings:
    """The profile `minimal` on this broker; `a__b` sets a.b."""
    values = {"kafka.bootstrap": kafka, "input.source": "kafka", "event_time.idle_timeout": "off"}
    values |= {key.replace("__", "."): str(value) for key, value in overrides.items()}
    return load("minimal", values).settings


def events(rng: np.random.Generator, times_us: np.ndarray[Any, Any]) -> Columns:
    """Events at these times anywhere in the world, one speed in a hundred beyond what is believed."""
    size = len(times_us)
    found: Columns = {
        "agent_id": rng.integers(1, 200, size, np.uint64),
        "time_us": times_us.astype(np.int64),
        **{axis: rng.uniform(0, 100, size).astype(np.float32) for axis in ("x_m", "y_m", "z_m")},
        "seq": np.arange(size, dtype=np.uint32),
        "speed_mps": rng.uniform(0, 1010, size).astype(np.float32),
        "energy": rng.uniform(0, 1000, size).astype(np.float32),
    }
    return found


def records_of(seed: int, count: int = 1500) -> list[Record]:
    """A minute of a partition: frames and rows of any size, late events, wrong clocks, and what is no event."""
    rng = np.random.default_rng(seed)
    times_us = BEGIN_US + np.sort(rng.integers(0, SPAN_S * SECOND_US, count))
    times_us[rng.random(count) < 0.02] -= 2 * SECOND_US
    times_us[rng.random(count) < 0.003] += 10**9 * SECOND_US
    found: list[Record] = []
    first = 0
    while first < count:
        part = events(rng, times_us[first : first + int(rng.integers(1, 120))])
        first += len(part["time_us"])
        match int(rng.integers(0, 6)):
            case 0:
                found += [(value, ROWS) for value in encode_rows(part, "msgpack", per_record=7)]
            case 1:
                value = encode_rows(part, "json", per_record=200)[0]
                found.append((value[:-1] + b', {"agent_id": null}]', JSON))
            case 2:
                found += [
                    (rng.bytes(40), FRAME),
                    (encode_frame(part), FRAME),
                    (b"", [("content-type", b"a/b")]),
                ]
            case _:
                names = {agent: f"agent {agent}" for agent in part["agent_id"].tolist()[:5]}
                found.append((encode_frame(part, names=names), FRAME))
    return found


def send(kafka: str, topic: str, parts: Sequence[Sequence[Record]], **options: Any) -> None:
    """Write the records of each partition, in their order."""
    with KafkaProducer(bootstrap_servers=kafka, linger_ms=5, retry_backoff_ms=10, **options) as producer:
        sent = [
            producer.send(topic, value=value, headers=headers, partition=partition)
            for partition, records in enumerate(parts)
            for value, headers in records
        ]
        for future in sent:
            future.get(60)


def archive(
    settings: Settings, topic: str, folder: Path, *, max_span_us: int = 5 * SECOND_US
) -> dict[str, Any]:
    """Archive to the end in this process."""
    return archive_topic(
        settings, topic, folder, until_end=True, max_bytes=10**9, max_span_us=max_span_us,
        stop=threading.Event(), progress=Progress(),
    )  # fmt: skip
