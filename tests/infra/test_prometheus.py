"""A real Prometheus watches a real cluster with every flow: what the dashboard asks has data, and faults raise their alerts."""

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from debian import program
from kafka import KafkaProducer

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "infra/monitoring"
TOKEN = "only-prometheus-has-this"
PANELS = json.loads((MONITORING / "dashboards/aura.json").read_text())["panels"]
QUERIES = sorted({target["expr"] for panel in PANELS for target in panel.get("targets", ())})
# What a label may say: kinds of things, of which there are few. An agent is none of them.
LABELS = {
    "__name__", "alertname", "alertstate", "backend", "fate", "implementation", "instance", "invariant", "job", "kernel", "kind",
    "le", "level", "major", "minor", "model", "outcome", "partition", "patchlevel", "process", "provider", "reason", "role",
    "severity", "shard", "stage", "version",
}  # fmt: skip
PATIENCE_S = 150.0


@contextmanager
def running(log: Path, *command: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a group of its own, all of which is killed at the end."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, cwd=log.parent, env=os.environ | env, stdout=said, stderr=said, process_group=0
        )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it and whoever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configured(folder: Path, target: int) -> Path:
    """Prometheus' own configuration and rules, with the target that there is here and shorter times."""
    rules = (MONITORING / "rules.yaml").read_text()
    rules = re.sub(r"for: \d+m", "for: 1s", re.sub(r"\[\d+m\]", "[20s]", rules))
    (folder / "rules.yaml").write_text(rules)
    (folder / "token").write_text(TOKEN)
    config = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    (job,) = config["scrape_configs"]
    job["authorization"]["credentials_file"] = str(folder / "token")
    job["static_configs"] = [{"targets": [f"127.0.0.1:{target}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder / "prometheus.yml"


class Prometheus:
    """The one that runs, asked over HTTP."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer; None before it answers."""
        try:
            answer = self._client.get(path, params=query)
        except httpx.TransportError:
            return None
        if answer.status_code == 503:  # it starts
            return None
        found = answer.json()
        assert found["status"] == "success", found
        return found["data"]

    def values(self, query: str) -> list[float]:
        """The numbers that a query gives now."""
        found = self.ask("/query", query=query)
        return [float(each["value"][1]) for each in found["result"]] if found else []

    def firing(self) -> set[str]:
        """The alerts that fire."""
        found = self.ask("/alerts") or {"alerts": []}
        return {a["labels"]["alertname"] for a in found["alerts"] if a["state"] == "firing"}


def wait(reached: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait until something is so, doing something all the while."""
    end_s = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < end_s, reached.__doc__ or "it is not so"
        meanwhile()
        time.sleep(0.5)


@pytest.mark.timeout(600)
def test_a_cluster_is_seen_and_its_faults_are_told(
    kafka: str, topics: Callable[..., str], tmp_path: Path
) -> None:
    """Up; each query of the dashboard has numbers, no series an agent; garbage fires DeadLetters, a death TargetDown."""
    target, port, prefix = free_port(), free_port(), topics()
    env = {"PYTHONPATH": str(ROOT), "AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": prefix}
    aura = (sys.executable, "-m", "service")
    env |= {"AURA_INPUT__PARTITIONS": "8"}
    send = (*aura, "produce", "--profile", "minimal", "--speed", "1", "--set", "simulate.duration=10h")
    bounds = 'safety.information_bounds.ranges={"speed_mps": [0, 0.001]}'  # every agent breaks it
    run = (
        *aura, "cluster", "-n", "1", "--profile", "minimal", "--source", "kafka", "--sink", "kafka", "--flows", "all",
        "--set", bounds, "--set", f"http.port={target}", "--set", f"http.token={TOKEN}",
    )  # fmt: skip
    prometheus = program("prometheus", "prometheus")
    watch = (
        prometheus, f"--config.file={configured(tmp_path, target)}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )  # fmt: skip
    with (
        KafkaProducer(bootstrap_servers=kafka) as garbage,
        running(tmp_path / "produce.log", *send, **env),
        running(tmp_path / "cluster.log", *run, **env) as cluster,
        running(tmp_path / "prometheus.log", *watch),
        httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30) as client,
    ):
        asked = Prometheus(client)

        def spoil() -> None:
            for number in range(300):
                garbage.send(f"{prefix}aura.events", os.urandom(40), partition=number % 8)
            garbage.flush(timeout=30)

        wait(lambda: asked.values('up{job="aura"}') == [1.0])
        wait(lambda: asked.values("sum(rate(aura_events_total[1m])) > 0"))
        assert not {"DeadLetters", "TargetDown"} & asked.firing()
        wait(lambda: "DeadLetters" in asked.firing(), spoil)
        for query in QUERIES:
            wait(lambda query=query: not all(map(math.isnan, asked.values(query) or [math.nan])), spoil)
        assert set(asked.ask("/labels")) <= LABELS
        wait(lambda: "SafetyViolation" in asked.firing())
        assert "TargetDown" not in asked.firing()
        kill(cluster)
        wait(lambda: "TargetDown" in asked.firing())
