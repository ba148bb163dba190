"""From a real Kafka broker to results in Kafka, exactly once: frames, and a row a record; snapshots every 0.1 s.

The broker has the same cores. kafka-python alone reads the same topic beside it, in turn with the flow.
"""

import statistics
from collections.abc import Iterator

from benchmarks.job import Job
from benchmarks.kafka_setting import EVENTS, Setting, output_of, setting
from benchmarks.row import Effort, Row

__all__ = ["rows"]

_EVENT_BYTES = 32  # of a frame: agent, time, three coordinates, a metric


def rows(effort: Effort) -> Iterator[Row]:
    """Yield both rows."""
    with setting() as given:
        yield _frames(given, effort)
        yield _rows(given, effort)


def _frames(given: Setting, effort: Effort) -> Row:
    given.topics("frames.", 2)
    given.fill("frames.", Job(effort.events(30_000_000)), rows=False)
    flow, alone = _pairs(given, "frames.", effort.runs)
    peer = statistics.median(each["megabytes"] / _EVENT_BYTES for each in alone)
    return Row(
        "Kafka frames to results in Kafka, exactly once", statistics.median(flow), "M events/s", 5, runs=flow,
        peer="kafka-python reading alone", peer_value=peer,
        note="2 partitions, frames of 65,536 events, 4,096 cells, count and sum, transactions and snapshots every 0.1 s",
    )  # fmt: skip


def _rows(given: Setting, effort: Effort) -> Row:
    given.topics("rows.", 2)
    given.fill("rows.", Job(effort.events(400_000), rows=4096, step_us=10_000), rows=True)
    flow, alone = _pairs(given, "rows.", max(1, effort.runs - 2))
    peer = statistics.median(each["records"] for each in alone)
    return Row(
        "Kafka, one msgpack row a record, to results in Kafka", statistics.median(flow), "M events/s", 0.6 * peer,
        runs=flow, peer="kafka-python reading alone", peer_value=peer,
        note="target: 0.6 of reading; 2 partitions, 6 fields, keys and content type, snapshots every 0.1 s",
    )  # fmt: skip


def _pairs(given: Setting, prefix: str, runs: int) -> tuple[tuple[float, ...], list[dict[str, float]]]:
    """Return the rates of the flow and of reading alone, after one run of each that does not count."""
    flow, alone = [], []
    for number in range(runs + 1):
        profile = given.profile(prefix, run=f"{prefix}{number}")
        flow.append(output_of("kafka_flow", profile)["rate"])
        alone.append(output_of("kafka_alone", given.bootstrap, prefix + EVENTS))
    return tuple(flow[1:]), alone[1:]
