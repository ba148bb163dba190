"""Transactions end in time, whatever has become of the broker."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.kafka.broker import Cluster
from kernels.errors import AwayError
from operators import kafka_writer
from operators.batch import DeadLetter
from operators.kafka_results import TOPICS
from operators.kafka_run import open_run
from operators.kafka_sink import KafkaSink
from operators.kafka_tables import read_outputs
from service.topics import Topic, apply


@pytest.fixture
def broker(java: None, tmp_path: Path) -> Iterator[Cluster]:
    """One that may be killed."""
    cluster = Cluster(tmp_path / "kafka", port=0)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.mark.timeout(200)
def test_a_commit_whose_broker_has_died_fails_in_time(
    broker: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an outage, which a start waits for; what was not committed is written once by the writer after it."""
    monkeypatch.setattr(kafka_writer, "ANSWER_S", 2)
    options = {"bootstrap_servers": [broker.bootstrap]}
    apply(options, [Topic(name, 1, 1) for name in TOPICS.values()], prefix="")
    run = open_run(options, prefix="", partitions=1, file=None)
    sink = KafkaSink(options, run, prefix="", group="g", flow="f", partitions=1)
    letter = DeadLetter("events", 0, 1, -1, b"bytes", "text/plain", "decode", "malformed")
    part = sink.build_part("sink", "00000", None)
    part.write_batch([letter])
    part._settle()  # the broker has the records: the commit alone is left
    broker.kill(1)
    begun_s = time.monotonic()
    with pytest.raises(AwayError, match="no answer to a commit"):
        part.snapshot()
    assert time.monotonic() - begun_s < 60
    assert sink.failed
    part.close()
    broker.start()
    again = KafkaSink(options, run, prefix="", group="g", flow="f", partitions=1).build_part(
        "sink", "00000", None
    )
    again.write_batch([letter])
    again.close()
    assert [key for key, *_ in read_outputs(options, "dead_letters", prefix="")] == ["events/0/1/-1"]
