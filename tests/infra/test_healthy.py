"""The image's health check, run beside what it asks: a flow, a worker and the dashboard, each with a token."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ending import ending

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "nobody-shows-this-one"
LONG = ("--source", "simulate", "--set", "simulate.duration=10h")


def check() -> list[str]:
    """The command of HEALTHCHECK, with the script where it is here."""
    text = (ROOT / "infra/docker/Dockerfile").read_text()
    (found,) = re.findall(r"HEALTHCHECK .*\n *CMD (\[.*\])", text)
    python, script = json.loads(found)
    assert python == "python3"
    return [sys.executable, str(ROOT / Path(script).relative_to("/opt/aura"))]


def ports(count: int) -> list[int]:
    """Ports that nobody has just now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@contextmanager
def running(folder: Path, *command: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run `aura` while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service", *command],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    with ending(process):
        yield process
        process.terminate()
        process.communicate(timeout=60)


def healthy(flow: int, dashboard: int) -> bool:
    """What the health check says, with these ports in place of 9090 and 8080."""
    env = os.environ | {"AURA_HTTP__PORT": str(flow)}
    return (
        subprocess.run([*check(), str(dashboard)], env=env, check=False, capture_output=True).returncode == 0
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "command",
    [
        ("run", *LONG, "--set", "http.port={flow}"),
        ("worker", "--sink=files", "--port={peers}", *LONG, "--set", "http.port={flow}"),
        ("dashboard", "--host=0.0.0.0", "--port={dashboard}"),
    ],
)
def test_it_is_healthy_while_it_runs(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Without the token the check comes to know that it lives, and soon after its end that it does not."""
    flow, dashboard, peers = ports(3)
    said = [word.format(flow=flow, dashboard=dashboard, peers=peers) for word in command]
    env = {"NODE_ID": "aura-0", "CLUSTER_SIZE": "1", "AURA_TOKEN": TOKEN}
    if command[0] != "dashboard":
        env |= {"AURA_HTTP__HOST": "0.0.0.0", "AURA_HTTP__TOKEN": TOKEN}
    assert not healthy(flow, dashboard)
    with running(tmp_path, *said, **env) as process:
        while not healthy(flow, dashboard):
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            time.sleep(0.1)
    assert not healthy(flow, dashboard)
