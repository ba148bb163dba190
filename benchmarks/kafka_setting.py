"""What the rows with Kafka share: a real broker of their own on the same cores, topics, a profile, events in a topic."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.job import Job, frames
from infra.kafka.broker import Cluster
from kernels.frame import FRAME_TYPE, decode_frame, encode_frame
from kernels.row_writer import encode_rows
from service.declared_topics import DECLARED, load_topics
from service.sender import Sender
from service.topics import apply

__all__ = ["EVENTS", "Setting", "output_of", "setting"]

EVENTS = "aura.events"
ROWS_TYPE = "application/vnd.aura.rows+msgpack"

_PROFILE = """
name = "benchmark"
[input]
source = "kafka"
batch_rows = 65_536
[world]
min_m = [0, 0, 0]
max_m = [1, 1, 1]
cell_m = [0.015625, 0.015625, 1]
[metrics]
m0 = {{ resolution = 0.001, low = 0, high = 8_000 }}
[event_time]
lateness = "{lateness}"
[windows.window]
length = "{length}"
aggregates = ["count", "sum"]
[sink]
directory = "{folder}/out"
partitions = {partitions}
[recovery]
directory = "{folder}/recovery"
epoch = "100ms"
[kafka]
bootstrap = "{bootstrap}"
prefix = "{prefix}"
group = "{group}"
"""


@dataclass(frozen=True)
class Setting:
    """A broker, and a folder for what belongs to it.

    Parameters
    ----------
    bootstrap
        Its address.
    folder
        Gone when the rows are done.
    """

    bootstrap: str
    folder: Path

    @property
    def client(self) -> dict[str, Any]:
        """Options of a client of kafka-python."""
        return {"bootstrap_servers": [self.bootstrap]}

    def topics(self, prefix: str, partitions: int) -> None:
        """Make the declared topics, that of the events with `partitions`."""
        declared = (
            replace(t, partitions=partitions) if t.name == EVENTS else t for t in load_topics(DECLARED)
        )
        apply(self.client, list(declared), prefix=prefix)

    def profile(self, prefix: str, *, run: str, length: str = "1s", lateness: str = "200ms") -> Path:
        """Write the profile of a run, whose results and snapshots are its own; return its path."""
        own = self.folder / run
        own.mkdir()
        path = own / "profile.toml"
        path.write_text(
            _PROFILE.format(
                folder=own, bootstrap=self.bootstrap, prefix=prefix, group=run, length=length, lateness=lateness,
                partitions=2,
            )
        )  # fmt: skip
        return path

    def fill(self, prefix: str, job: Job, *, rows: bool) -> int:
        """Send the events of `job`, as frames or a row a record; return how many."""
        sent = 0
        with Sender(self.client) as sender:
            for partition in range(job.partitions):
                for turn, columns in enumerate(_turns(job, partition)):
                    columns["time_us"] = columns["time_us"] + turn * job.step_us
                    _send(sender, prefix + EVENTS, partition, columns, rows=rows)
                    sent += job.rows
        return sent


@contextmanager
def setting() -> Iterator[Setting]:
    """Start a broker; stop it and clear everything away at the end."""
    with tempfile.TemporaryDirectory(prefix="aura-benchmark-") as folder:
        cluster = Cluster(Path(folder) / "broker", port=0)
        try:
            yield Setting(cluster.start(), Path(folder))
        finally:
            cluster.stop()


def output_of(module: str, *arguments: object) -> Any:
    """Return what a module of the benchmarks prints as JSON when it is run as a process."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _turns(job: Job, partition: int) -> Iterator[dict[str, np.ndarray]]:
    made = [dict(decode_frame(data).columns) for data in frames(job, partition)]
    return (dict(made[k % len(made)]) for k in range(max(1, job.events // job.partitions // job.rows)))


def _send(sender: Sender, topic: str, partition: int, columns: dict[str, np.ndarray], *, rows: bool) -> None:
    if not rows:
        sender.send(topic, partition, (None, encode_frame(columns)), {"content-type": FRAME_TYPE})
        return
    values: Sequence[bytes] = encode_rows(columns, "msgpack", per_record=1)
    for agent, value in zip(columns["agent_id"].tolist(), values, strict=True):
        sender.send(topic, partition, (str(agent).encode(), value), {"content-type": ROWS_TYPE})
