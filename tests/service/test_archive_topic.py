"""A topic into an archive through a real broker: row for row, whatever kills the archiver, and no hole in silence."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import ROOT
from ending import ending
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from recorded import BEGIN_US, FRAME, PARTITIONS, SETTINGS, archive, events, records_of, send, settings_for

from flows.replayed import archived_columns, decoder
from flows.settings import Settings
from kernels.errors import AuraError
from kernels.frame import encode_frame
from operators.archive_files import Archive
from operators.archive_reader import read_archive
from operators.batch import DeadLetter
from operators.decoded import Decoded
from operators.topic_reader import TopicReader, offset_bounds
from service.declared_topics import Topic


def rows_of(pieces: Iterator[Decoded] | Sequence[Decoded]) -> tuple[list[Any], list[DeadLetter]]:
    """Every row of a partition with its place and broker's time, NaN as text, and every dead letter."""
    rows, letters = [], []
    for piece in pieces:
        offset, row = piece.origin.locate(np.arange(len(piece.broker_us)))
        values = zip(*(column.tolist() for column in piece.columns.values()), strict=True)
        places = zip(offset.tolist(), row.tolist(), piece.broker_us.tolist(), strict=True)
        rows += [(place, repr(of)) for place, of in zip(places, values, strict=True)]
        letters += piece.dead
    return rows, sorted(letters, key=lambda letter: (letter.offset, letter.row))


def read_topic(settings: Settings, topic: str) -> list[Any]:
    """The rows and dead letters of each partition of a topic, by the consumer."""
    options, columns = settings.kafka.client_options(), archived_columns(settings)
    firsts, ends = offset_bounds(options, topic, PARTITIONS)
    found = []
    for k in range(PARTITIONS):
        decode = decoder(settings, topic, k, columns=columns).decode
        with TopicReader(options, topic, {k: firsts[k]}, ends) as reader:
            pieces = []
            while not reader.ended:
                pieces += [piece for polled in reader.poll(100) for piece in decode(polled.records)]
        found.append(rows_of(pieces))
    return found


def read_folder(folder: Path) -> list[Any]:
    """The same of an archive."""
    found = Archive.open(folder)
    return [rows_of(read_archive(found, k, found.columns)) for k in range(found.partitions)]


def start_archiver(kafka: str, topic: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start an archiver that goes on until it is ended, a file a second of event time."""
    code = "import typer; from service.commands.archive import command; typer.run(command)"
    options = ["--topic", topic, "--out", str(folder), "--max-span", "1s", "--profile", "minimal"]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *options, "--set", f"kafka.bootstrap={kafka}"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until something is so, as long as the process lives."""
    end = time.monotonic() + 30
    while not condition():
        assert process.poll() is None, (process.communicate()[0] or b"").decode()
        assert time.monotonic() < end
        time.sleep(0.001)


@contextmanager
def feeding(kafka: str, topic: str) -> Iterator[None]:
    """Send records to all partitions, one after the other, as long as the block runs."""
    stop = threading.Event()

    def feed() -> None:
        with KafkaProducer(bootstrap_servers=kafka, linger_ms=0, retry_backoff_ms=10) as producer:
            for seed in itertools.count():
                parts = [records_of(seed + 1000 * partition, 300) for partition in range(PARTITIONS)]
                for records in itertools.zip_longest(*parts):
                    for partition, record in enumerate(records):
                        if stop.is_set():
                            return
                        if record is not None:
                            value, headers = record
                            producer.send(topic, value=value, headers=headers, partition=partition).get(60)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_an_archiver_that_is_killed_loses_and_doubles_nothing(kafka: str, topics, tmp_path: Path) -> None:
    """Killed twice in the middle of its work, and ended once by SIGTERM, an archiver holds the topic row for row."""
    topic = topics(Topic("events", PARTITIONS, 1, SETTINGS)) + "events"
    settings, rng = settings_for(kafka), random.Random(4)

    def files() -> int:
        return len(list(tmp_path.glob("*/events-*.parquet")))

    with feeding(kafka, topic):
        for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            wanted = files() + rng.randrange(3, 12)
            with ending(start_archiver(kafka, topic, tmp_path)) as process:
                wait_for(lambda n=wanted: files() >= n, process)
                process.send_signal(number)
                said = process.communicate(timeout=60)[0]
            assert process.returncode == (0 if number == signal.SIGTERM else -number), said
        assert not list(tmp_path.glob("*/.*.parquet")), "what ends by SIGTERM leaves whole files"
    archive(settings, topic, tmp_path)
    assert read_folder(tmp_path) == read_topic(settings, topic)
    before = sorted(tmp_path.rglob("*.parquet"))
    assert archive(settings, topic, tmp_path)["rows"] == 0
    assert sorted(tmp_path.rglob("*.parquet")) == before


def test_what_was_aborted_is_not_archived(kafka: str, topics, tmp_path: Path) -> None:
    """Of transactions only the committed ones are in an archive; the offsets of the others and of markers are holes."""
    topic = topics(Topic("events", PARTITIONS, 1, SETTINGS)) + "events"
    options = {"bootstrap_servers": kafka, "transactional_id": f"a{uuid.uuid4().hex}", "retry_backoff_ms": 5}
    with KafkaProducer(**options, api_version=(2, 4)) as producer:
        producer.init_transactions()
        for number, end in enumerate((producer.commit_transaction, producer.abort_transaction) * 2):
            producer.begin_transaction()
            one = events(np.random.default_rng(number), np.array([BEGIN_US + number]))
            producer.send(topic, value=encode_frame(one), headers=FRAME, partition=1).get(60)
            end()
            archive(settings_for(kafka), topic, tmp_path)
    rows = read_folder(tmp_path)[1][0]
    assert [place[0] for place, _ in rows] == [0, 4]
    assert Archive.open(tmp_path).spans(1)[0][:2] == (0, 2)


def test_an_archive_has_no_hole_that_retention_made(kafka: str, topics, tmp_path: Path) -> None:
    """An archiver that comes back after retention has passed its offset stops and says which offsets are gone."""
    topic = topics(Topic("events", PARTITIONS, 1, SETTINGS)) + "events"
    parts = [records_of(seed, 100) for seed in range(PARTITIONS)]
    send(kafka, topic, parts)
    archive(settings_for(kafka), topic, tmp_path)
    send(kafka, topic, parts)
    first, gone = len(parts[0]), 2 * len(parts[0])
    with KafkaAdminClient(bootstrap_servers=kafka) as admin:
        admin.delete_records({TopicPartition(topic, 0): gone})
    with pytest.raises(AuraError, match=rf"\[0\]: offsets {first} to {gone - 1} are gone"):
        archive(settings_for(kafka), topic, tmp_path)
