"""From an event to the result that has it, through Kafka: how long after a window could close its result is read.

A window of 100 ms can close once events have happened that are `lateness` past its end; from that moment of event time,
which here is the time on the clock, to the moment at which a reader of committed records holds the result. Inside are:
the producer's gathering of a frame (up to 20 ms), the broker twice, the flow, the rest of the epoch (up to 100 ms), the
transaction's commit.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from kafka import TopicPartition

from benchmarks.kafka_setting import EVENTS, Setting, setting
from benchmarks.row import Effort, Row
from operators.cell_records import decode_cells
from operators.kafka_reader import open_consumer
from operators.kafka_results import TOPICS

__all__ = ["rows"]

_RATE = 500_000
_WINDOW_US, _LATENESS_US = 100_000, 20_000
_WARM_UP_S, _STOP_S = 5.0, 30.0
_PARTITIONS = 2
_PREFIX = "latency."


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the 99th percentile."""
    seconds = max(5.0, 25 * effort.share)
    with setting() as given:
        given.topics(_PREFIX, _PARTITIONS)
        millis, events = _measured(given, seconds)
    p50, p99, most = np.percentile(millis, [50, 99, 100])
    yield Row(
        f"event to result through Kafka at {_RATE:,} events/s, p99", float(p99), "ms", 250, at_most=True,
        note=f"median {p50:.0f}, most {most:.0f} ms of {len(millis):,} results with {events:,} events in {seconds:.0f} s; broker, "
        "producer, flow and reader on the same cores; snapshots and commits every 0.1 s; window wait excluded",
    )  # fmt: skip


def _measured(given: Setting, seconds: float) -> tuple[np.ndarray, int]:
    """Return by how many milliseconds each result came after its window could close, and the events in them."""
    profile = given.profile(_PREFIX, run="latency", length="100ms", lateness="20ms")
    flow = _process("service", "run", "--profile", profile, "--source", "kafka", "--sink", "kafka", "--json")
    producer = _process(
        "benchmarks.kafka_producer", given.bootstrap, _PREFIX + EVENTS, _RATE, seconds + 2 * _WARM_UP_S
    )
    try:
        return _read(given, flow, seconds)
    finally:
        for process in (producer, flow):
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_S)


def _process(module: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", module, *map(str, arguments)], stdout=subprocess.DEVNULL)


def _read(given: Setting, flow: subprocess.Popen[bytes], seconds: float) -> tuple[np.ndarray, int]:
    """Read the results as they are committed, those of the warm-up aside."""
    late_ms, events, topic = list[float](), 0, _PREFIX + TOPICS["cells"]
    with open_consumer(given.client) as consumer:
        parts = [TopicPartition(topic, k) for k in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(parts)
        consumer.seek_to_beginning()
        begin_s = float("inf")
        while time.time() < begin_s + seconds:
            if flow.poll() is not None:
                raise RuntimeError("the flow has ended: the benchmark is wrong")
            records = [each for polled in consumer.poll(timeout_ms=20).values() for each in polled]
            now_s = time.time()
            if records:
                begin_s = min(begin_s, now_s + _WARM_UP_S)
            if now_s >= begin_s:
                late_ms += [(now_s * 1e6 - _due_us(record.key)) / 1e3 for record in records]
                events += sum(_events(record) for record in records)
    return np.array(late_ms), events


def _due_us(key: bytes) -> int:
    """Return when the window of a result could close: its key is window/start/shard."""
    return int(key.split(b"/")[1]) + _WINDOW_US + _LATENESS_US


def _events(record: Any) -> int:
    return int(decode_cells(record.value, dict(record.headers)).columns["count"].sum())
