from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from kernels.errors import AuraError, ConfigError
from kernels.frame import encode_frame
from kernels.grid import Grid
from kernels.lateness import END_US
from kernels.metric import Metric
from kernels.row_writer import encode_rows
from kernels.schema import Columns
from operators import kafka_batch, kafka_reader
from operators.batch import Batch, DeadLetter, Late, Tally
from operators.ingest import IngestConfig
from operators.kafka_records import REFUSED
from operators.kafka_source import KafkaSource
from operators.progress import Progress
from service.declared_topics import Topic

FRAME = [("content-type", b"application/vnd.aura.frame")]
ROWS = [("content-type", b"application/vnd.aura.rows+msgpack")]
CONFIG = IngestConfig(
    Grid((0, 0, 0), (10, 10, 10), (10, 10, 10)),
    (Metric("speed_mps", 0.001, 0, 2000),),
    least_lateness_us=100,
    lateness_us=100,
    future_us=10**9,
)
SETTINGS = {"max.message.bytes": "8454144", "message.timestamp.type": "LogAppendTime"}
DAY_US = 86_400 * 10**6

Send = Callable[..., int]


@pytest.fixture
def topic(topics: Callable[..., str]) -> str:
    """A topic of one partition for events."""
    return topics(Topic("events", 1, 1, SETTINGS)) + "events"


@pytest.fixture
def send(kafka: str, topic: str) -> Iterator[Send]:
    """Writes a record and returns its offset."""
    options = {"bootstrap_servers": kafka, "max_request_size": 128 * 2**20, "linger_ms": 0}
    producers: dict[str | None, KafkaProducer] = {}

    def write(
        value: bytes | None,
        headers: list[Any] = FRAME,
        *,
        packed: str | None = None,
        key: bytes | None = None,
    ) -> int:
        if packed not in producers:
            producers[packed] = KafkaProducer(**options, compression_type=packed)
        found = producers[packed].send(topic, value, key, headers=headers, partition=0)
        offset: int = found.get(60).offset
        return offset

    yield write
    for producer in producers.values():
        producer.close(timeout=5)


class Closed(KafkaSource):
    """A source whose partitions are closed at the end of a test, however it ends."""

    made: list[Any]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> Any:
        """Return a partition."""
        self.made.append(super().build_part(step_id, for_part, resume_state))
        return self.made[-1]


@pytest.fixture
def source(kafka: str, topic: str) -> Iterator[Callable[..., KafkaSource]]:
    """Makes a source of the topic, until its end unless told otherwise."""
    made: list[Any] = []

    def make(**more: Any) -> KafkaSource:
        options: dict[str, Any] = {
            "columns": ("seq", "speed_mps"),
            "batch_rows": 1024,
            "until_end": True,
        } | more
        config = options.pop("config", CONFIG)
        found = Closed({"bootstrap_servers": [kafka]}, topic, "g", config, progress=Progress(), **options)
        found.made = made
        return found

    yield make
    for part in made:
        part._consumer.close(autocommit=False)  # a second time it does nothing


def events(times_us: Sequence[int], **columns: Sequence[float]) -> Columns:
    """Events at these times, in the middle of the world, other columns as given."""
    size = len(times_us)
    found: Columns = {"agent_id": np.arange(size).astype("<u8"), "time_us": np.array(times_us, "<i8")}
    found |= {axis: np.full(size, 50, "<f4") for axis in ("x_m", "y_m", "z_m")}
    found["seq"] = np.arange(size).astype("<u4")
    return found | {name: np.array(values, "<f4") for name, values in columns.items()}


def drain(part: Any) -> list[Batch]:
    """All that a partition gives until it stops."""
    found: list[Batch] = []
    while True:
        try:
            found += part.next_batch()
        except StopIteration:
            return found


def arrived(part: Any) -> list[Batch]:
    """What a partition gives next, however often one has to ask."""
    while not (batches := part.next_batch()):
        pass
    return batches


def delete_before(kafka: str, topic: str, offset: int) -> None:
    """Do what retention does."""
    with KafkaAdminClient(bootstrap_servers=kafka) as admin:
        admin.delete_records({TopicPartition(topic, 0): offset})


def read(source: KafkaSource, state: bytes | None = None) -> list[Batch]:
    """All of a bounded source of one partition."""
    part = source.build_part("source", "0", state)
    found = drain(part)
    part.close()
    return found


def account(batches: Sequence[Batch]) -> tuple[Tally, list[DeadLetter], list[Late]]:
    """What became of the events."""
    tally, outputs = Tally(), []
    for batch in batches:
        for output in batch.account():
            if isinstance(output, Tally):
                tally.add(output)
            else:
                outputs.append(output)
    assert tally.balanced
    return (
        tally,
        [o for o in outputs if isinstance(o, DeadLetter)],
        [o for o in outputs if isinstance(o, Late)],
    )


def test_a_bounded_source_reads_what_was_there_when_it_was_made(source, send) -> None:
    """Frames and rows come out in order, then the end; what is sent later is not read, after a restart neither."""
    send(encode_frame(events([1, 2, 3])))
    send(encode_rows(events([4]), "msgpack")[0], ROWS)
    made = source()
    part = made.build_part("source", "0", None)
    state = part.snapshot()
    send(encode_frame(events([5])))
    batches = drain(part)
    assert [t for b in batches if len(b) for t in b.columns["time_us"].tolist()] == [1, 2, 3, 4]
    assert batches[-1].watermark_us == END_US
    assert made.progress.done == 4
    again = source()
    assert [t for b in read(again, state) if len(b) for t in b.columns["time_us"].tolist()] == [1, 2, 3, 4]
    assert read(again, part.snapshot()) == []
    part.close()


def test_an_empty_partition_ends_at_once(source) -> None:
    """A partition without records says that it is at its end, and stops."""
    (batch,) = read(source())
    assert (len(batch), batch.watermark_us) == (0, END_US)


def test_the_position_is_that_of_what_was_delivered(source, send) -> None:
    """A restart from the snapshot after any poll goes on with the next record, none twice, none missing."""
    for n in range(6):
        send(encode_frame(events([n])))
    made = source(max_records=2)
    part, seen, state = made.build_part("source", "0", None), [], None
    for _ in range(3):
        seen += [t for b in arrived(part) for t in b.columns["time_us"].tolist()]
        state = part.snapshot()
        part.close()
        part = made.build_part("source", "0", state)
    assert seen == list(range(6))
    assert [len(b) for b in drain(part)] == [0]
    part.close()


def test_a_source_goes_on_with_its_clock(source, send) -> None:
    """After a restart an event is late, or a duplicate, by what came before it."""
    config = replace(CONFIG, dedup=True)
    for times in ([1000], [1000], [10]):
        send(encode_frame(events(times)))
    made = source(max_records=1, config=config)
    part = made.build_part("source", "0", None)
    arrived(part)
    state = part.snapshot()
    part.close()
    tally, _, late = account(read(made, state))
    assert (tally.events_in, tally.duplicates, len(late)) == (2, 1, 1)


def test_what_was_aborted_is_not_read(source, send, kafka, topic) -> None:
    """Records of an aborted transaction are skipped, those around it are read, and the end is found behind markers."""
    send(encode_frame(events([1])))
    with KafkaProducer(
        bootstrap_servers=kafka, transactional_id=topic, retry_backoff_ms=5, api_version=(2, 4)
    ) as producer:
        producer.init_transactions()
        for value, end in ((7, producer.abort_transaction), (2, producer.commit_transaction)):
            producer.begin_transaction()
            producer.send(topic, encode_frame(events([value])), headers=FRAME, partition=0).get(60)
            end()
    batches = read(source())
    assert [t for b in batches if len(b) for t in b.columns["time_us"].tolist()] == [1, 2]


def test_random_bytes_and_cut_frames_are_one_dead_letter_each(source, send) -> None:
    """Reliability 1 and 2: each has its origin and its bytes; the events between them are read."""
    frame = encode_frame(events([1]))
    sent = {send(frame[:n]): frame[:n] for n in range(0, len(frame), 7)}
    sent |= {send(bytes(range(n, n + 40)), []): bytes(range(n, n + 40)) for n in (0, 100, 200)}
    good = send(frame)
    tally, dead, _ = account(read(source()))
    assert {d.offset: d.value for d in dead} == sent
    assert {d.row for d in dead} == {-1}
    assert (tally.events_in, tally.windowed, tally.dead_letters) == (len(sent) + 1, 1, len(sent))
    assert good not in sent


def test_nested_and_huge_msgpack_is_refused(source, send) -> None:
    """Reliability 3: depth, ext types and absurd counts are dead letters."""
    values = [
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc7\x05\x01hello",
        b"\x81\xa1a\xc6\xff\xff\xff\xff",
    ]
    offsets = [send(value, headers) for value in values for headers in (ROWS, FRAME)]
    _, dead, _ = account(read(source()))
    assert [d.offset for d in dead] == offsets


@pytest.mark.parametrize("codec", ["gzip", "zstd", "lz4"])
def test_a_decompression_bomb_is_a_dead_letter(source, send, codec) -> None:
    """Reliability 4: 40 MiB in one packed record are not unpacked; packed records around it are read."""
    send(encode_frame(events([1])), packed=codec)
    bomb = send(bytes(40 * 2**20), packed=codec)
    send(encode_frame(events([2])), packed=codec)
    tally, (dead,), _ = account(read(source()))
    assert (tally.windowed, tally.dead_letters) == (2, 1)
    assert (dead.offset, dead.reason) == (bomb, "too_large")
    assert len(dead.value) < 2**20


def test_positions_and_metrics_that_are_none_are_dead_letters(source, send) -> None:
    """Reliability 5: NaN, infinite and far positions leave, each as a frame of its own; a null metric stays."""
    columns = events([1] * 5, speed_mps=[np.nan, 1, 1, 1, np.inf])
    columns["x_m"] = np.array([50, np.nan, np.inf, 1e30, 50], "<f4")
    offset = send(encode_frame(columns))
    tally, dead, _ = account(batches := read(source()))
    assert [(d.offset, d.row, d.reason) for d in dead] == [
        (offset, 1, "position"), (offset, 2, "position"), (offset, 3, "position"), (offset, 4, "metric_range"),
    ]  # fmt: skip
    assert (tally.windowed, tally.dead_letters) == (1, 4)
    for letter in dead:
        send(letter.value, [("content-type", letter.content_type.encode())])
    again, dead_again, _ = account(read(source()))
    assert again.dead_letters == 8
    assert sorted(d.value for d in dead_again if d.offset != offset) == sorted(d.value for d in dead)
    assert len(batches[0]) == 1


def test_clocks_that_are_wrong_do_not_move_their_neighbours(source, send) -> None:
    """Reliability 6: a day ahead of the broker is a dead letter, a year behind is late; the rows around are events."""
    now_us = int(np.datetime64("now", "us").astype(np.int64))
    send(encode_frame(events([now_us, now_us + DAY_US, now_us - 365 * DAY_US, now_us + 1])))
    tally, (dead,), (late,) = account(read(source(config=replace(CONFIG, future_us=600 * 10**6))))
    assert (tally.windowed, tally.dead_letters, tally.late) == (2, 1, 1)
    assert (dead.row, dead.reason) == (1, "future")
    assert (late.row.tolist(), late.behind_us.tolist()) == ([2], [365 * DAY_US])


def test_late_within_and_beyond_the_lateness(source, send) -> None:
    """Reliability 7: 100 us behind is an event, 101 us behind is late, exactly, however the rows are framed."""
    for times in ([1000], [900, 899], [1001, 900]):
        send(encode_frame(events(times)))
    tally, _, late = account(read(source()))
    assert (tally.windowed, tally.late) == (3, 2)
    assert [o.columns["time_us"].tolist() for o in late] == [[899, 900]] or [
        o.columns["time_us"].tolist() for o in late
    ] == [[899], [900]]


def test_an_offset_that_retention_has_passed_stops_the_flow(source, send, kafka, topic) -> None:
    """At the start and in the middle alike the error says what is gone and what to do; nothing is skipped."""
    for n in range(5):
        send(encode_frame(events([n])))
    made = source(until_end=False, max_records=1)
    part = made.build_part("source", "0", None)
    arrived(part)
    state = part.snapshot()
    part.close()
    delete_before(kafka, topic, 3)
    with pytest.raises(AuraError, match=r"events\[0\]: offsets 1 to 2 are gone.*starts at offset 3"):
        made.build_part("source", "0", state)
    fresh = made.build_part("source", "0", None)
    delete_before(kafka, topic, 5)
    with pytest.raises(AuraError, match=r"events\[0\]: offsets 3 to 4 are gone"):
        arrived(fresh)
    fresh.close()


def test_a_topic_that_was_made_anew_stops_the_flow(source, send) -> None:
    """An offset behind the end of the topic is not waited for."""
    made = source(until_end=False)
    part = made.build_part("source", "0", None)
    part._next = 17
    state = part.snapshot()
    part.close()
    with pytest.raises(AuraError, match="there is no offset 17, the next one is 0"):
        made.build_part("source", "0", state)


def test_a_silent_partition_is_idle_once_and_then_resumes(source, send) -> None:
    """After the timeout one batch says so; the next events say that it is back."""
    clock = [0.0]
    part = source(until_end=False, idle_timeout_us=5 * 10**6, now=lambda: clock[0]).build_part(
        "source", "0", None
    )
    assert part.next_batch() == []
    assert part.next_awake() is not None
    clock[0] = 5.1
    (idle,) = part.next_batch()
    assert idle.idle
    assert part.next_batch() == []
    send(encode_frame(events([1])))
    assert arrived(part)[0].resumed
    assert part.next_awake() is None
    assert part.next_batch() == []
    part.close()


def test_the_group_is_told_of_the_snapshot_before_the_last(source, send, kafka, topic) -> None:
    """Lag tools see a position from which the flow could resume, and the last one at the end."""
    for n in range(3):
        send(encode_frame(events([n])))
    part = source(max_records=1).build_part("source", "0", None)

    def told() -> int | None:
        with KafkaAdminClient(bootstrap_servers=kafka) as admin:
            found = admin.list_group_offsets(["g"])["g"].get(TopicPartition(topic, 0))
        return None if found is None else found.offset

    for _ in range(2):
        arrived(part)
        part.snapshot()
    for _ in range(1000):  # an answer takes milliseconds
        if told() == 1:
            break
    assert told() == 1
    drain(part)
    part.close()
    assert told() == 3


def test_errors_say_what_to_do(kafka, monkeypatch) -> None:
    """No topic, no broker, no fast checksum: each is one message with a remedy, at the start."""
    options: dict[str, Any] = {"columns": (), "batch_rows": 1024, "progress": Progress()}
    with pytest.raises(AuraError, match=r"there is no topic nowhere.*aura topics apply"):
        KafkaSource({"bootstrap_servers": [kafka]}, "nowhere", "g", CONFIG, **options)
    monkeypatch.setattr(kafka_reader, "ANSWER_MS", 200)
    with pytest.raises(AuraError, match=r"no Kafka broker answers at 127.0.0.1:1\. Start one"):
        KafkaSource({"bootstrap_servers": ["127.0.0.1:1"]}, "t", "g", CONFIG, **options)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"crc32c is not installed.*pip install"):
        KafkaSource({"bootstrap_servers": [kafka]}, "t", "g", CONFIG, **options)


def test_a_broken_record_does_not_stop_those_behind_it() -> None:
    """A header that is no UTF-8, which brokers let pass, makes one refused record; the next ones are read."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 9999)
    for n in range(3):
        builder.append(n, 0, b"k", b"value%d" % n, [("header", b"x")])
    data = bytearray(builder.build())
    at = data.index(b"header", data.index(b"value1"))
    data[at] = 0xFF
    batch = MemoryRecords(bytes(data)).next_batch()
    first, broken, last = batch
    assert (first.value, last.value) == (b"value0", b"value2")
    assert (broken.offset, broken.headers[0][0]) == (1, REFUSED)
    assert b"value1" in broken.value
    assert isinstance(batch, kafka_batch._Batch)
