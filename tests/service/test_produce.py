import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.errors import AuraError, ConfigError
from kernels.frame import decode_frame
from kernels.grid import Grid
from kernels.hashing import hash_text, partition_of
from kernels.rows import decode_rows
from kernels.schema import Columns
from operators.batch import Batch, Tally
from operators.ingest import IngestConfig
from operators.kafka_reader import read_committed
from operators.kafka_source import KafkaSource
from operators.mapping import Id, Mapping, Planar, Quantity, Time
from operators.partitioned import PartitionRows, load_partitioned
from operators.progress import Progress
from operators.rows_source import RowsSource
from service.declared_topics import Topic
from service.pacing import Chunk
from service.produce import Form, Produced, chunks_of_file, encode_chunk, produce

PARTITIONS = 3
SHIPS = Mapping(
    agent=Id("mmsi", "text"),
    time=Time("t", "s"),
    position=Planar(Quantity("e", "km"), Quantity("n", "km")),
    columns={"speed_mps": Quantity("sog", "kn")},
)
CONFIG = IngestConfig(Grid((0, 0, -1), (1000, 1000, 2), (10, 10, 1)), (), least_lateness_us=0, lateness_us=0)


class Rig:
    """The topics of events and ids, and a client of them."""

    def __init__(self, kafka: str, prefix: str) -> None:
        self.options: dict[str, Any] = {"bootstrap_servers": [kafka]}
        self.topic, self.ids = prefix + "events", prefix + "ids"

    def produce(
        self, parts: list[PartitionRows], form: Form = "frame", per_record: int | None = None
    ) -> Produced:
        """Send the partitions of a file."""
        return produce(
            self.options, self.topic, [chunks_of_file(part) for part in parts], dead=[part.dead for part in parts],
            ids_topic=self.ids, form=form, per_record=per_record, progress=Progress(),
        )  # fmt: skip

    def records(self, topic: str, partitions: int) -> list[Any]:
        """All records of a topic."""
        return list(read_committed(self.options, {(topic, k): 0 for k in range(partitions)}))

    def source(self) -> KafkaSource:
        """The source that reads the events back."""
        columns = ("seq", "level", "speed_mps")
        return KafkaSource(
            self.options, self.topic, "g", CONFIG, columns=columns, batch_rows=1024, mapping=SHIPS, until_end=True,
            progress=Progress(),
        )  # fmt: skip


@pytest.fixture
def rig(kafka: str, topics: Callable[..., str]) -> Rig:
    """Topics of three and two partitions on a real broker."""
    settings = {"max.message.bytes": "8454144", "message.timestamp.type": "LogAppendTime"}
    return Rig(kafka, topics(Topic("events", PARTITIONS, 1, settings), Topic("ids", 2, 1)))


@pytest.fixture
def parts(tmp_path: Path) -> list[PartitionRows]:
    """A file of ships with nulls in every column, in partitions."""
    rows: list[dict[str, Any]] = [
        {"mmsi": f"ship {n % 7}", "t": 100 + n // 3, "e": n % 9, "n": n % 8, "sog": n or None}
        for n in range(60)
    ]
    for number, key in ((5, "mmsi"), (6, "t"), (7, "e"), (8, "n"), (9, "sog")):
        rows[number][key] = None
    rows[10]["e"] = "far"
    path = tmp_path / "ships.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + '\n{"broken\n')
    return load_partitioned(path, SHIPS, PARTITIONS)


def events_of(source: Any) -> tuple[dict[str, list[Any]], Tally, dict[int, str]]:
    """All columns of all partitions in their order, what became of the rows, and the names."""
    batches: list[Batch] = []
    for name in source.list_parts():
        part = source.build_part("source", name, None)
        try:
            while True:
                batches += part.next_batch()
        except StopIteration:
            part.close()
    tally, names = Tally(), dict[int, str]()
    columns: dict[str, list[Any]] = {}
    for batch in batches:
        for output in batch.account():
            if isinstance(output, Tally):
                tally.add(output)
        names |= batch.names
        for name, values in batch.columns.items():
            columns.setdefault(name, []).extend(value.tobytes() for value in values)
    return columns, tally, names


@pytest.mark.parametrize(
    ("form", "per_record"), [("frame", None), ("frame", 7), ("rows-msgpack", 1), ("rows-json", 5)]
)
def test_the_topic_gives_what_the_file_gives(
    rig: Rig, parts: list[PartitionRows], form: Form, per_record: int | None
) -> None:
    """The same events in the same order of each partition, bit by bit, the same names, and the same account."""
    sent = rig.produce(parts, form, per_record)
    assert (sent.events, sent.dead_rows) == (55, 6)
    columns, tally, names = events_of(rig.source())
    file = RowsSource("ships", parts, CONFIG, batch_rows=1024, progress=Progress())
    expected, file_tally, file_names = events_of(file)
    assert {name: columns[name] for name in expected} == expected
    assert (tally, names) == (file_tally, file_names)


def test_an_agent_stands_in_its_partition_and_is_the_key_of_its_rows(
    rig: Rig, parts: list[PartitionRows]
) -> None:
    """Partition and key are those that any other producer would choose; each text id is told once."""
    rig.produce(parts, "rows-json", 1)
    for record in rig.records(rig.topic, PARTITIONS):
        if record.key is not None:
            (agent,) = decode_rows(record.value, "json")["agent_id"]
            assert record.key == str(agent).encode()
            assert (
                record.partition == partition_of(np.array([hash_text(str(agent))], np.uint64), PARTITIONS)[0]
            )
    told = {int(record.key): record.value.decode() for record in rig.records(rig.ids, 2)}
    assert told == {hash_text(f"ship {n}"): f"ship {n}" for n in range(7)}
    assert len(rig.records(rig.ids, 2)) == 7


def test_a_topic_of_another_width_is_refused(rig: Rig, parts: list[PartitionRows]) -> None:
    """Events would stand where the flow does not look for them: nothing is sent."""
    with pytest.raises(
        ConfigError, match=r"has 3 partitions, and the input is split into 2.*input.partitions = 3"
    ):
        rig.produce(parts[:2])
    assert rig.records(rig.topic, PARTITIONS) == []


def test_what_is_too_large_for_a_record_is_split() -> None:
    """A frame or an array that would be over 8 MiB goes as several, in order, none of them too large."""
    size = 65_536
    columns: Columns = {"agent_id": np.arange(size).astype("<u8"), "time_us": np.arange(size)}
    columns |= {axis: np.zeros(size, "<f4") for axis in ("x_m", "y_m", "z_m")}
    columns |= {f"m_{n}": np.full(size, n + 0.1, "<f4") for n in range(40)}
    values = [value for _, value in encode_chunk(Chunk(columns, {}), "frame", size)]
    assert len(values) == 2
    times = [t for value in values for t in decode_frame(value).columns["time_us"].tolist()]
    assert times == list(range(size))
    few: Columns = {name: values[:20_000] for name, values in columns.items()}
    arrays = [value for _, value in encode_chunk(Chunk(few, {}), "rows-json", 20_000)]
    assert len(arrays) > 1
    assert max(map(len, arrays)) <= 8 * 2**20


def test_a_broker_that_refuses_ends_with_what_it_has(
    rig: Rig, parts: list[PartitionRows], monkeypatch: Any
) -> None:
    """The error says how far it came, and that one should look before sending again."""
    monkeypatch.setattr("service.sender.MAX_RECORD_BYTES", -64 * 1024 + 100)
    with pytest.raises(
        AuraError, match=r"sending failed: MessageSizeTooLarge.*the broker has 0 records or more"
    ):
        rig.produce(parts)
