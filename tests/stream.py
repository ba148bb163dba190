"""A topic of events on the real broker, and runs of the whole flow over it, as the tests of bad input need them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from kafka import KafkaProducer

from flows.settings import load
from kernels.schema import Columns
from operators.batch import FATES
from service.console import Console
from service.job import Job

__all__ = ["FRAME", "JSON", "MSGPACK", "Outcome", "Stream", "events"]

FRAME = "application/vnd.aura.frame"
MSGPACK = "application/vnd.aura.rows+msgpack"
JSON = "application/vnd.aura.rows+json"

_PROFILE = """
[input]
source = "kafka"
[world]
min_m = [0, 0, 0]
max_m = [100, 100, 100]
cell_m = [50, 50, 50]
[metrics]
speed_mps = { resolution = 0.001, low = 0, high = 2_000 }
[event_time]
lateness = "5s"
future = "10m"
[windows.ten]
length = "10s"
aggregates = ["count", "agents", "sum", "mean", "min", "max", "var"]
[shards]
count = 3
[sink]
partitions = 2
"""
_MEASURED = (
    "import resource, sys\n"
    "from service.cli import main\n"
    "try: main()\n"
    "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)\n"
)


def events(times_s: Sequence[float], first_agent: int = 0, **columns: Sequence[float]) -> Columns:
    """Events at these times, each of an agent of its own in the middle of the first cell, other columns as given."""
    size = len(times_s)
    found: Columns = {
        "agent_id": (np.arange(size) + first_agent).astype("<u8"),
        "time_us": np.array([round(t * 1e6) for t in times_s], "<i8"),
    }
    found |= {axis: np.full(size, 25, "<f4") for axis in ("x_m", "y_m", "z_m")}
    return found | {name: np.array(values, "<f4") for name, values in columns.items()}


@dataclass
class Outcome:
    """What came out of a run: its summary, and its tables as rows."""

    summary: dict[str, Any]
    cells: list[dict[str, Any]]
    late: list[dict[str, Any]]
    dead: list[dict[str, Any]]

    def letters(self) -> dict[tuple[int, int, int], str]:
        """The reasons of the dead letters by (partition, offset, row), each of which must be there once."""
        found = {(d["partition"], d["offset"], d["row"]): d["reason"] for d in self.dead}
        assert len(found) == len(self.dead)
        return found


class Stream:
    """A topic of two partitions.

    Parameters
    ----------
    kafka
        The broker.
    prefix
        Before the names of the topics, which are there.
    folder
        Of the results.
    """

    def __init__(self, kafka: str, prefix: str, folder: Path) -> None:
        self.kafka, self.prefix, self.folder = kafka, prefix, folder
        self._runs = 0
        self._producers: dict[str | None, KafkaProducer] = {}

    def send(
        self,
        partition: int,
        value: bytes | None,
        content_type: str | None = FRAME,
        *,
        packed: str | None = None,
    ) -> int:
        """Write a record; return its offset."""
        if packed not in self._producers:
            more = {"max_request_size": 512 * 2**20, "compression_type": packed, "linger_ms": 0}
            self._producers[packed] = KafkaProducer(bootstrap_servers=self.kafka, **more)
        headers = [] if content_type is None else [("content-type", content_type.encode())]
        key = b"k" if value is None else None  # kafka-python wants one of the two
        sent = self._producers[packed].send(
            f"{self.prefix}aura.events", value, key, headers=headers, partition=partition
        )
        offset: int = sent.get(60).offset
        return offset

    def send_all(self, partition: int, values: Sequence[tuple[bytes, str | None]]) -> list[int]:
        """Write records, waiting once; return their offsets."""
        first = self.send(partition, *values[0])
        producer = self._producers[None]
        for value, content_type in values[1:]:
            headers = [] if content_type is None else [("content-type", content_type.encode())]
            producer.send(f"{self.prefix}aura.events", value, headers=headers, partition=partition)
        producer.flush(60)
        return list(range(first, first + len(values)))

    def run(self, more: Mapping[str, str] | None = None) -> Outcome:
        """Run the flow to the end of the topic, into files; every event is accounted for."""
        profile, out = self._prepare()
        settings = load(profile, {"sink.directory": str(out)} | dict(more or {})).settings
        return self._outcome(Job(settings, "files", until_end=True, console=Console(quiet=True)).run(), out)

    def run_measured(self, more: Mapping[str, str] | None = None) -> tuple[Outcome, int]:
        """Do the same in a process of its own; return how many MiB that had at most, too."""
        profile, out = self._prepare()
        sets = [part for key, value in (more or {}).items() for part in ("--set", f"{key}={value}")]
        command = ["run", "--profile", str(profile), "--until-end", "--json", "--out", str(out), *sets]
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, *command],
            cwd=self.folder, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, check=True, timeout=100,
        )  # fmt: skip
        return self._outcome(json.loads(done.stdout.splitlines()[-1]), out), int(done.stderr.split()[-1])

    def close(self) -> None:
        """Let the producers go."""
        for producer in self._producers.values():
            producer.close(timeout=5)

    def _prepare(self) -> tuple[Path, Path]:
        self._runs += 1
        profile = self.folder / "profile.toml"
        profile.write_text(f'{_PROFILE}[kafka]\nbootstrap = "{self.kafka}"\nprefix = "{self.prefix}"\n')
        return profile, self.folder / f"out{self._runs}"

    @staticmethod
    def _outcome(summary: dict[str, Any], out: Path) -> Outcome:
        assert summary["events_in"] == sum(summary[fate] for fate in FATES)
        tables: list[pa.Table] = [
            pq.read_table(out / f"{kind}.parquet") for kind in ("cells", "late", "dead_letters")
        ]
        cells, late, dead = (table.to_pylist() for table in tables)
        assert (len(late), len(dead)) == (summary["late"], summary["dead_letters"])
        assert sum(row["count"] for row in cells) == summary["windowed"]
        return Outcome(summary, cells, late, dead)
