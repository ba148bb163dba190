"""The input of a scenario, made from a seed: the records of each partition, and what they say one event at a time.

Frames and rows of any size; late events, within and beyond the lateness; records that stand there twice; and what is no
event at all. The last record of a partition is far ahead in time, and closes every window before it.
"""

from typing import NamedTuple

import numpy as np
from driver import columns_of
from reference import Row

from kernels.frame import encode_frame
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.row_writer import encode_rows

__all__ = ["BEGIN_US", "FAR_US", "METRICS", "PARTITIONS", "PROFILE", "Record", "last_record", "records"]

PARTITIONS = 3
BEGIN_US = 1_767_225_600_000_000
FAR_US = BEGIN_US + 3_600_000_000
METRICS = (Metric("speed_mps", 0.001, 0, 1_000), Metric("energy", 0.01, 0, 50_000))

_GRID = Grid((0.0, 0.0, 0.0), (100.0, 100.0, 100.0), (6, 6, 1))
_STEP_US = 25_000  # event time between two events of a partition
_AGENTS = 12
_FRAME, _MSGPACK = (
    [("content-type", f"application/vnd.aura.{kind}".encode())] for kind in ("frame", "rows+msgpack")
)

PROFILE = """
name = "chaos"
[input]
source = "kafka"
partitions = 3
[world]
min_m = [0, 0, 0]
max_m = [600, 600, 100]
cell_m = [100, 100, 100]
[metrics]
speed_mps = { resolution = 0.001, low = 0, high = 1_000 }
energy = { resolution = 0.01, low = 0, high = 50_000 }
[event_time]
lateness = "300ms"
dedup = true
idle_timeout = "off"
future = "off"
[windows.second]
length = "1s"
aggregates = ["count", "agents", "sum", "mean", "min", "max", "var"]
[windows.three]
length = "3s"
slide = "1s"
aggregates = ["count", "sum", "max"]
[windows.visit]
kind = "session"
gap = "400ms"
aggregates = ["count", "sum"]
[shards]
count = 12
[sink]
partitions = 3
"""
"""The configuration of every scenario."""


class Record(NamedTuple):
    """A record, and the events in it; none: it is no event, and goes to the dead letters."""

    value: bytes
    headers: list[tuple[str, bytes]]
    rows: tuple[Row, ...]


def records(seed: int, partition: int, count: int, *, begin_us: int = BEGIN_US) -> list[Record]:
    """Return the records of a partition, of 10 events on average, from a time on."""
    rng = np.random.default_rng([seed, partition])
    found: list[Record] = []
    time_us = begin_us
    for number in range(count):
        size = int(rng.integers(1, 20))
        rows = tuple(_row(rng, partition, time_us + k * _STEP_US, number * 32 + k + 1) for k in range(size))
        time_us += size * _STEP_US
        match int(rng.integers(0, 30)):
            case 0:
                found.append(Record(rng.bytes(30), _FRAME, ()))
            case 1 if found:
                found.append(found[-int(rng.integers(1, min(len(found), 4) + 1))])
            case n:
                found.append(_record(rows, as_frame=n % 3 > 0))
    return found


def last_record(partition: int) -> Record:
    """Return a record that closes what is open."""
    return _record((Row(partition * 1000 + 999, FAR_US, 1, (0, 0, 0), (1.0, None)),), as_frame=True)


def _row(rng: np.random.Generator, partition: int, time_us: int, seq: int) -> Row:
    """Return an event near a time: one in ten a little late, one in fifty too late."""
    chance = rng.random()
    behind_us = int(rng.integers(0, 250_000)) if chance < 0.1 else 2_000_000 if chance < 0.12 else 0
    values = (float(rng.integers(0, 8000)) / 8, float(rng.integers(0, 2000)) if rng.random() < 0.9 else None)
    cell = (int(rng.integers(0, 6)), int(rng.integers(0, 6)), 0)
    return Row(partition * 1000 + int(rng.integers(0, _AGENTS)), time_us - behind_us, seq, cell, values)


def _record(rows: tuple[Row, ...], *, as_frame: bool) -> Record:
    columns = columns_of(rows, _GRID, METRICS)
    if as_frame:
        return Record(encode_frame(columns), _FRAME, rows)
    (value,) = encode_rows(columns, "msgpack", per_record=len(rows))
    return Record(value, _MSGPACK, rows)
