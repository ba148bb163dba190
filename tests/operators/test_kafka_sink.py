"""What a sink writes: whole epochs, each partition its own, and nothing that the broker did not take."""

from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource
from kafka.errors import KafkaTimeoutError
from sink_rig import Rig, alert, cells, late, letter, result, rigged, session

from kernels.errors import AuraError
from operators import kafka_sink
from operators.batch import Tally
from operators.kafka_reader import end_offsets, read_committed
from operators.kafka_results import TOPICS, encode_output
from operators.kafka_tables import read_outputs, read_results
from operators.result import KINDS
from operators.results import last_results


@pytest.fixture
def rig(kafka: str, topics: Callable[..., str]) -> Iterator[Rig]:
    """A sink on a real broker."""
    with rigged(kafka, topics) as made:
        yield made


def test_an_epoch_is_seen_as_a_whole_once_it_is_committed(rig: Rig) -> None:
    """A reader of committed records sees none of the topics before the snapshot, and all of them after it."""
    part = rig.writer()
    brought = [cells(0), session(4), letter(1), late(2), alert(3, 0.5), Tally(events_in=3, windowed=3)]
    brought += [result(kind, "5/0") for kind in KINDS]
    part.write_batch(brought)
    part._producer.flush(10)
    topic = rig.prefix + TOPICS["cells"]
    assert end_offsets(rig.options, topic, 1) == [1]
    assert end_offsets(rig.options, topic, 1, isolation_level="read_committed") == [0]
    part.snapshot()
    tables = read_results(rig.options, prefix=rig.prefix)
    assert {kind: table.num_rows for kind, table in tables.items()} == dict.fromkeys(TOPICS, 1)
    assert tables["dead_letters"].to_pylist()[0]["value"] == b"bytes"
    part.close()
    assert rig.accounts == {0: Tally(events_in=3, windowed=3)}


def test_partition_k_writes_partition_k(rig: Rig) -> None:
    """Keys go to the partition of their number, also beyond ten, where texts are in another order."""
    for number in (0, 1):
        part = rig.writer(number=number)
        part.write_batch([letter(number)])
        part.snapshot()
    starts = {(rig.prefix + TOPICS["dead_letters"], k): 0 for k in range(2)}
    assert {r.key: r.partition for r in read_committed(rig.options, starts)} == {
        b"events/0/0/-1": 0,
        b"events/0/1/-1": 1,
    }
    sink = rig.sink(partitions=12)
    assert [sorted(sink.list_parts())[sink.part_fn(str(k))] for k in range(12)] == sink.list_parts()


def test_the_last_revision_of_a_result_is_read_and_none_is_written_twice(rig: Rig) -> None:
    """A result that has no rows any more is gone; a repetition after a crash finds what stands there."""
    part = rig.writer()
    state = part.snapshot()
    epochs = [[result("agents", "5/0"), result("agents", "5/1", 3)]]
    epochs += [[result("agents", "5/0", 0, revision=1), result("agents", "5/1", 2, revision=1)]]
    for outputs in epochs:
        part.write_batch(outputs)
        part.snapshot()
    whole = rig.keys()
    assert whole == [("5/0", 0), ("5/0", 1), ("5/1", 0), ("5/1", 1)]
    part = rig.writer(state)
    for outputs in epochs:
        part.write_batch(outputs)
        part.snapshot()
    assert rig.keys() == whole
    table = read_results(rig.options, prefix=rig.prefix, kinds=["agents"])["agents"]
    assert last_results(table, "agents")["agent_id"].to_pylist() == [0, 1]


@pytest.mark.parametrize("json_rows", [False, True])
def test_a_large_result_of_fewer_parts_leaves_none_behind(
    rig: Rig, json_rows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader puts the parts of a result together; those that a later revision no longer has are gone."""
    monkeypatch.setattr("operators.cell_records._VALUE_BYTES", 200)
    part = rig.writer(json_rows=json_rows)
    part.write_batch([cells(0, rows=9)])
    part.snapshot()
    table = read_results(rig.options, prefix=rig.prefix, kinds=["cells"])["cells"]
    assert sorted(table["cx"].to_pylist()) == list(range(9))
    part.write_batch([cells(0, rows=5, revision=1)])
    part.snapshot()
    table = read_results(rig.options, prefix=rig.prefix, kinds=["cells"])["cells"]
    assert sorted(table["cx"].to_pylist()) == list(range(5))
    assert set(table["revision"].to_pylist()) == {1}


def test_much_in_one_epoch_waits_for_the_broker(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not yet sent stays below a limit, whatever an epoch brings, and is one transaction all the same."""
    monkeypatch.setattr(kafka_sink, "_UNSENT_BYTES", 1000)
    part = rig.writer()
    part.write_batch([letter(n, bytes(300)) for n in range(20)])
    assert part._unsent_bytes <= 1000
    assert end_offsets(
        rig.options, rig.prefix + TOPICS["dead_letters"], 1, isolation_level="read_committed"
    ) == [0]
    part.snapshot()
    assert len(rig.keys()) == 20


@pytest.mark.parametrize("size", [100_000, 9 * 2**20])
def test_a_record_that_is_refused_ends_the_run_uncommitted(rig: Rig, size: int) -> None:
    """By the broker or before it: the epoch is committed with all of its records or not at all."""
    with KafkaAdminClient(bootstrap_servers=rig.options["bootstrap_servers"]) as admin:
        topic = rig.prefix + TOPICS["alerts"]
        admin.alter_configs([ConfigResource("topic", topic, {"max.message.bytes": "50000"})])
    part = rig.writer()
    part.write_batch([letter(1)])
    (message,) = encode_output(alert(1, 0.5))
    with pytest.raises(AuraError, match=r"MessageSizeTooLarge.*Start again"):  # noqa: PT012 (either may say so)
        part._write(message._replace(value=bytes(size)), "")
        part.snapshot()
    rig.writer()
    assert rig.keys() == []


def test_a_record_that_got_lost_is_not_committed_without(rig: Rig) -> None:
    """A record that timed out leaves the client ready to commit the others: the writer looks at each before it does."""

    class TimedOut:
        """The future of such a record."""

        def get(self, timeout: float) -> None:
            """Raise what kafka-python raises."""
            raise KafkaTimeoutError("delivery")

    part = rig.writer()
    part.write_batch([letter(1)])
    part._sent.append(("alerts", TimedOut()))
    with pytest.raises(AuraError, match="committing results of partition 0 failed"):
        part.snapshot()
    rig.writer()
    assert rig.keys() == []


def test_a_topic_that_cannot_be_written_halts_the_flow(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reliability 18: without the topic of the dead letters the run ends, and what it had is not committed."""
    monkeypatch.setattr(kafka_sink, "ANSWER_S", 1)
    part = rig.writer()
    part.write_batch([cells(0)])
    monkeypatch.setitem(TOPICS, "dead_letters", "aura.nowhere")
    with pytest.raises(AuraError, match=r"writing to .*nowhere\[0\] failed"):
        part.write_batch([letter(1)])
    monkeypatch.undo()
    rig.writer()
    assert rig.keys() == []


def test_a_stranger_in_a_topic_is_named(rig: Rig, kafka: str) -> None:
    """Reading results says which record is none, instead of leaving it out."""
    with KafkaProducer(bootstrap_servers=kafka) as producer:
        producer.send(rig.prefix + TOPICS["cells"], b"?", key=b"k", partition=1).get(60)
    with pytest.raises(AuraError, match=r"aura.cells\[1\] offset 0 is no result"):
        list(read_outputs(rig.options, "cells", prefix=rig.prefix))
