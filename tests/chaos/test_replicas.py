"""Reliability 21 as Kubernetes does it: `spec.replicas` changes, pods come and go, and nobody tells the workers otherwise."""

import sys
from pathlib import Path

import pytest
from api_server import ApiServer, api_server
from chaos.arena import Arena
from chaos.events import PARTITIONS, records
from chaos.hosts import Hosts

from infra.kafka.broker import Cluster

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform != "linux", reason="the supervisor asks Linux which ports listen"),
]


def scaled(hosts: Hosts, api: ApiServer, replicas: int) -> None:
    """Change the replicas, start or end pods as the controller of StatefulSets does, and wait for all to go on."""
    epochs = {number: hosts.status(number)["epoch"] for number in hosts.running}
    api.replicas = replicas
    for number in range(len(hosts.running), replicas):
        hosts.start(number, 2, **variables(api))  # the template still says what the set began with
    gone = [hosts.running.pop(number) for number in range(replicas, len(hosts.running))]
    for pod in gone:
        pod.terminate()
    for number in hosts.running:
        before = epochs.get(number, -1)
        hosts.until(number, lambda now, before=before: now["state"] == "running" and now["epoch"] > before)
    assert [pod.wait(60) for pod in gone] == [0] * len(gone)


def variables(api: ApiServer) -> dict[str, str]:
    """What a pod is given."""
    return api.variables | {"CHAOS_ACCOUNT": str(api.account)}


def test_more_replicas_and_fewer_again(brokers: Cluster, tmp_path: Path) -> None:
    """2, then 3, then 2 under traffic: each time all drain and go on as that many; nothing is lost or doubled."""
    parts = {k: records(51, k, 240) for k in range(PARTITIONS)}
    with Arena(brokers, parts, 10.0) as arena, api_server(tmp_path / "account", "aura", 2) as api:
        hosts = Hosts(arena)
        try:
            for number in range(2):
                hosts.start(number, 2, **variables(api))
            hosts.run()
            arena.feed.start()
            arena.feed.until(0.25)
            scaled(hosts, api, 3)
            arena.feed.until(0.6)
            scaled(hosts, api, 2)
            arena.complete(hosts.alive)
            assert all(hosts.status(number)["restarts"] == 0 for number in hosts.running)
            assert hosts.stop() == [0, 0]
            found = arena.verdict(51, [])
        finally:
            hosts.kill()
        assert found.good, found
        assert len(api.asked) > 2
