"""A sink on topics of its own, the writers that are made of it, and something of every kind to write."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from operators.alerts import FIELDS
from operators.batch import Alerts, DeadLetter, Late, Tally
from operators.cells import Cells
from operators.kafka_reader import read_committed
from operators.kafka_results import TOPICS
from operators.kafka_run import Run, open_run
from operators.kafka_sink import KafkaSink
from operators.kafka_tables import read_results
from operators.result import KINDS, Result
from operators.session import Sessions
from service.declared_topics import Topic

__all__ = ["Rig", "alert", "cells", "late", "letter", "result", "rigged", "session"]

SETTINGS = {"max.message.bytes": "8519680"}


class Rig:
    """A sink of two partitions on topics of its own, and the writers that were made of it."""

    def __init__(self, kafka: str, prefix: str) -> None:
        self.options: dict[str, Any] = {"bootstrap_servers": [kafka]}
        self.prefix, self.accounts = prefix, dict[int, Tally]()
        self.made: list[Any] = []
        self.run = self.begin()

    def begin(self, file: Path | None = None) -> Run:
        """Begin a run."""
        return open_run(self.options, prefix=self.prefix, partitions=2, file=file)

    def sink(self, run: Run | None = None, **more: Any) -> KafkaSink:
        """A sink of the run."""
        given = {
            "prefix": self.prefix,
            "group": "g",
            "flow": "f",
            "partitions": 2,
            "on_account": self.accounts.__setitem__,
        }
        return KafkaSink(self.options, run or self.run, **(given | more))

    def writer(self, state: bytes | None = None, *, number: int = 0, **more: Any) -> Any:
        """A writer of a partition: it fences the ones before it."""
        self.made.append(self.sink(**more).build_part("sink", f"{number:05d}", state))
        return self.made[-1]

    def log(self) -> list[tuple[str, str, int]]:
        """The key, the revision and the run of all that is committed, in order."""
        starts = {(self.prefix + name, k): 0 for name in TOPICS.values() for k in range(2)}
        found = []
        for record in read_committed(self.options, starts):
            headers = dict(record.headers)
            found.append((record.key.decode(), int(headers["revision"]), headers["run"].decode()))
        return found

    def keys(self) -> list[tuple[str, int]]:
        """The keys and revisions of all that is committed."""
        return sorted((key, revision) for key, revision, _ in self.log())

    def counts(self) -> dict[str, int]:
        """What a reader takes for the result: count by window and start."""
        table = read_results(self.options, prefix=self.prefix, kinds=["cells"]).get("cells")
        rows = [] if table is None else table.to_pylist()
        return {f"{row['window']}/{row['start_us']}": row["count"] for row in rows}


@contextmanager
def rigged(kafka: str, topics: Callable[..., str]) -> Iterator[Rig]:
    """Yield a sink on a real broker."""
    made = Rig(kafka, topics(*(Topic(name, 2, 1, SETTINGS) for name in TOPICS.values())))
    yield made
    for part in made.made:
        part._producer.close(timeout=0)


def cells(start: int, count: int = 1, *, rows: int = 1, revision: int = 0) -> Cells:
    """The rows of one window of shard 0."""
    columns = {
        "window": np.zeros(rows, np.int16),
        "start_us": np.full(rows, start),
        "end_us": np.full(rows, start + 60),
        **{name: np.arange(rows, dtype=np.int32) for name in ("cx", "cy", "cz")},
        "count": np.full(rows, count),
        "agents": np.full(rows, -1),
        "score": np.full(rows, np.nan, np.float32),
        "revision": np.full(rows, revision, np.int32),
    }
    return Cells(0, columns, ["w"])


def letter(offset: int, value: bytes = b"bytes") -> DeadLetter:
    """A dead letter of a record."""
    return DeadLetter("events", 0, offset, -1, value, "text/plain", "decode", "malformed")


def late(offset: int) -> Late:
    """A late event of a record."""
    columns = {"agent_id": np.array([1], "<u8"), "time_us": np.array([5], "<i8")}
    columns |= {axis: np.array([0.5], "<f4") for axis in ("x_m", "y_m", "z_m")}
    return Late("events", 0, columns, np.array([offset]), np.array([0]), np.array([9]))


def alert(agent: int, score: float) -> Alerts:
    """An alert of an agent."""
    known = {"kind": "agent", "agent_id": agent, "time_us": 5, "score": score, "model": "m"}
    return Alerts([dict.fromkeys(FIELDS) | known])


def session(agent: int) -> Sessions:
    """A session of an agent."""
    columns = {"window": np.zeros(1, np.int16), "start_us": np.array([5]), "end_us": np.array([9])}
    columns |= {"agent_id": np.array([agent], np.uint64), "count": np.array([1])}
    columns |= {"revision": np.zeros(1, np.int32), "withdrawn": np.zeros(1, np.bool_)}
    return Sessions(0, columns, ["visit"])


def result(kind: str, about: str, rows: int = 1, *, revision: int = 0) -> Result:
    """A result of a further kind."""
    columns = {}
    for name in KINDS[kind].columns:
        dtype = KINDS[kind].dtype(name)
        numbers = np.arange(rows)
        columns[name] = numbers.astype(str).astype(object) if dtype.kind == "O" else numbers.astype(dtype)
    return Result(kind, about, columns, revision)
