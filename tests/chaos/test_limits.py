"""What a start cannot mend, what it can once there is room again, and what it picks up."""

import resource
import signal
import sys

import psutil
import pytest
from chaos.arena import Arena
from chaos.events import BEGIN_US, PARTITIONS, last_record, records
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from infra.kafka.broker import Cluster

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform != "linux", reason="the supervisor asks Linux which ports listen"),
]


LATER_US = BEGIN_US + 25_000_000  # past what is closed when the partition is added


def test_a_recovery_store_that_cannot_be_written(brokers: Cluster) -> None:
    """It says so and ends, and once there is room again goes on: nothing is lost or doubled."""
    parts = {k: records(60, k, 240) for k in range(PARTITIONS)}
    with Arena(brokers, parts, 8.0) as arena:
        arena.flow.start(2)
        arena.flow.running()
        arena.feed.start()
        arena.feed.until(0.3)
        assert arena.flow.process is not None
        supervisor = psutil.Process(arena.flow.process.pid)
        for pid in (supervisor.pid, *(child.pid for child in supervisor.children())):  # spares too
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        assert arena.flow.ended(200) == 1
        # At the next start, if that has something to write beyond the limit, or after ten without an epoch.
        reasons = ("cannot be written: disk I/O error", "gave up after many starts without progress")
        assert any(reason in arena.flow.log.read_text() for reason in reasons), arena.flow.said()
        arena.flow.start(2)
        arena.complete(arena.flow.alive)
        arena.flow.signal(signal.SIGTERM)
        assert arena.flow.ended() == 0
        found = arena.verdict(60, [])
        assert found.good, found


def test_retention_passes_the_position(brokers: Cluster) -> None:
    """A flow that comes back too late ends at once, with what is gone; it does not skip, and does not try again and again."""
    parts = {k: records(61, k, 60) for k in range(PARTITIONS)}
    with Arena(brokers, parts, 2.0) as arena:
        arena.flow.start(2)
        arena.flow.running()
        arena.feed.start()
        arena.feed.until(0.3)
        arena.flow.signal(signal.SIGTERM)
        assert arena.flow.ended() == 0
        arena.feed.until(1.0)
        with KafkaAdminClient(bootstrap_servers=brokers.bootstrap) as admin:
            admin.delete_records({TopicPartition(f"{arena.prefix}aura.events", 1): 60})
        arena.flow.start(2)
        assert arena.flow.ended() == 1
        said = arena.flow.said()
        assert "aura.events[1]: offsets" in said
        assert "are gone: retention has passed them" in said
        assert "starting again" not in said


def test_partitions_are_added(brokers: Cluster) -> None:
    """A start finds the partitions that were added meanwhile, and reads them from their beginning."""
    parts = {k: records(62, k, 120) for k in range(PARTITIONS)}
    topic_of = "{}aura.events".format
    with Arena(brokers, parts, 4.0) as arena:
        arena.flow.start(2)
        arena.flow.running()
        arena.feed.start()
        arena.feed.until(0.5)
        arena.flow.signal(signal.SIGTERM)
        assert arena.flow.ended() == 0
        arena.feed.until(1.0)
        with KafkaAdminClient(bootstrap_servers=brokers.bootstrap) as admin:
            admin.create_partitions({topic_of(arena.prefix): PARTITIONS + 1})
        arena.parts = {**parts, PARTITIONS: records(63, PARTITIONS, 60, begin_us=LATER_US)}
        arena.flow.start(3)
        arena.flow.running()
        _send(brokers.bootstrap, topic_of(arena.prefix), arena)
        arena.complete(arena.flow.alive)
        arena.flow.signal(signal.SIGTERM)
        assert arena.flow.ended() == 0
        found = arena.verdict(62, [])
        assert found.good, found


def _send(bootstrap: str, topic: str, arena: Arena) -> None:
    with KafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for record in [*arena.parts[PARTITIONS], last_record(PARTITIONS)]:
            producer.send(topic, record.value, headers=record.headers, partition=PARTITIONS).get(30)
