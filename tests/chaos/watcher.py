"""A reader of committed records that looks on while faults happen: what has come, and whether anything came twice."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from chaos.events import FAR_US
from chaos.oracle import CELLS, SESSIONS, Expected, values
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from operators.batch import DeadLetter, Late
from operators.cells import Cells
from operators.kafka_results import TOPICS, decode_output
from operators.session import Sessions

__all__ = ["Seen", "Watcher"]


class Seen(NamedTuple):
    """A record as it came: what it is about, which revision it says to be, what it says, and the run it is of."""

    id: str
    revision: int
    content: bytes
    run: bytes


class Watcher:
    """Reads the topics of results from their beginning.

    Parameters
    ----------
    bootstrap, prefix, partitions
        Where they are.

    Attributes
    ----------
    log
        Every record, by kind.
    cells, sessions, late, dead
        What was said last, by key; as `chaos.oracle` has it.
    """

    def __init__(self, bootstrap: str, prefix: str, partitions: int) -> None:
        self.log: dict[str, list[Seen]] = {kind: [] for kind in TOPICS}
        self.cells: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.sessions: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.late: set[tuple[int, int, int]] = set()
        self.dead: set[tuple[int, int, int]] = set()
        self._kinds = {prefix + name: kind for kind, name in TOPICS.items()}
        self._parts = [TopicPartition(topic, k) for topic in self._kinds for k in range(partitions)]
        self._bootstrap, self._stop = bootstrap, threading.Event()
        self.broken: list[str] = []
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()
        self._thread.join(30)

    @property
    def count(self) -> int:
        """How many records have come."""
        return sum(map(len, self.log.values()))

    def missing(self, expected: Expected) -> dict[str, int]:
        """Return how much of each kind has not come."""
        kinds = ("cells", "sessions", "late", "dead")
        found = {kind: len(set(getattr(expected, kind)) - set(getattr(self, kind))) for kind in kinds}
        return {kind: count for kind, count in found.items() if count}

    def doubled(self) -> list[str]:
        """Return the ids that came with the same content, or as the same revision, more than once."""
        found = []
        for kind, seen in self.log.items():
            for fields in ((0, 1), (0, 2)):
                times = Counter(tuple(record[f] for f in fields) for record in seen)
                found += [f"{kind} {key[0]}" for key, count in times.items() if count > 1]
        return sorted(set(found))

    def amended(self) -> int:
        """Return how many records replace one that came before."""
        return sum(record.revision > 0 for seen in self.log.values() for record in seen)

    def _watch(self) -> None:
        try:
            with KafkaConsumer(
                bootstrap_servers=self._bootstrap, isolation_level="read_committed", enable_auto_commit=False,
                auto_offset_reset="none", retry_backoff_ms=20, bootstrap_timeout_ms=60_000,
                reconnect_backoff_max_ms=500,  # by default 30 s: what the flow has done would be seen so much later
            ) as consumer:  # fmt: skip
                consumer.assign(self._parts)
                for part in self._parts:
                    consumer.seek(part, 0)
                while not self._stop.is_set():
                    for record in _polled(consumer):
                        self._take(record)
        except Exception as error:
            self.broken.append(repr(error))
            raise

    def _take(self, record: Any) -> None:
        kind, headers = self._kinds[record.topic], dict(record.headers)
        about = headers.get("id", record.key).decode()
        self.log[kind].append(Seen(about, int(headers["revision"]), headers["content"], headers["run"]))
        output = decode_output(kind, record.key.decode(), record.value, headers)
        if isinstance(output, Cells):
            self._take_cells(output)
        elif isinstance(output, Sessions):
            self._take_session(output)
        elif isinstance(output, Late):
            self.late.add((output.partition, int(output.offset[0]), int(output.row[0])))
        elif isinstance(output, DeadLetter):
            self.dead.add((output.partition, output.offset, output.row))

    def _take_cells(self, cells: Cells) -> None:
        window = cells.windows[int(cells.columns["window"][0])]
        columns = [column.tolist() for column in cells.columns.values()]
        for row in (dict(zip(cells.columns, fields, strict=True)) for fields in zip(*columns, strict=True)):
            key = (window, row["start_us"], row["cx"], row["cy"], row["cz"])
            self.cells[key] = values(row, CELLS[window])

    def _take_session(self, session: Sessions) -> None:
        row = {name: column[0].item() for name, column in session.columns.items()}
        key = (session.windows[0], row["agent_id"], row["start_us"])
        if row["withdrawn"]:
            self.sessions.pop(key, None)
        elif row["start_us"] < FAR_US:
            self.sessions[key] = values(row, SESSIONS)


def _polled(consumer: KafkaConsumer) -> Iterator[Any]:
    """Yield what has come; brokers that are away come back."""
    try:
        found = consumer.poll(timeout_ms=50)
    except KafkaError as error:
        if not error.retriable:
            raise
        return
    for records in found.values():
        yield from records
