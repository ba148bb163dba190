"""Workers that know their ordinal and their count alone: they find each other, go on without one another, and in other numbers."""

import os
import signal
import sys

import pytest
from chaos.arena import Arena
from chaos.events import PARTITIONS, records
from chaos.hosts import Hosts

from infra.kafka.broker import Cluster

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform != "linux", reason="the supervisor asks Linux which ports listen"),
]


def test_killed_and_then_of_another_number(brokers: Cluster) -> None:
    """A process killed, then 3 drained and 2 in their place, then a whole host killed: nothing is lost or doubled."""
    parts = {k: records(50, k, 240) for k in range(PARTITIONS)}
    with Arena(brokers, parts, 10.0) as arena:
        hosts = Hosts(arena)
        try:
            for number in (2, 0, 1):
                hosts.start(number, 3)
            hosts.run()
            arena.feed.start()
            arena.feed.until(0.2)
            before = hosts.status(1)
            os.kill(before["processes"][0], signal.SIGKILL)
            for number in range(3):
                hosts.until(
                    number, lambda now: now["state"] == "running" and now["restarts"] > before["restarts"]
                )
            arena.feed.until(0.5)
            assert hosts.stop() == [0, 0, 0]
            for number in range(2):
                hosts.start(number, 2)
            hosts.run()
            arena.feed.until(0.75)
            hosts.running[0].kill()
            hosts.running[0].wait()
            hosts.start(0, 2)
            hosts.run()
            arena.complete(hosts.alive)
            assert hosts.stop() == [0, 0]
            found = arena.verdict(50, [])
        finally:
            hosts.kill()
        assert found.good, found
