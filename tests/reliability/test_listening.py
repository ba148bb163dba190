"""Where AURA's processes listen: on loopback, at the port that was asked for, and nowhere else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from ending import ending

ROOT = Path(__file__).parents[2]
LONG = ("--source", "simulate", "--set", "simulate.duration=10h", "--set", "http.port=0")


def listening(process: subprocess.Popen[str]) -> set[tuple[str, int]]:
    """Addresses at which a process and those that it has started listen."""
    family = [psutil.Process(process.pid)]
    family += family[0].children(recursive=True)
    found = [each.net_connections("inet") for each in family if each.is_running()]
    return {(c.laddr.ip, c.laddr.port) for some in found for c in some if c.status == psutil.CONN_LISTEN}


def text_of(address: str) -> str:
    """What stands there; nothing before the server is up."""
    try:
        return httpx.get(address, timeout=30).text
    except httpx.TransportError:
        return ""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("command", [("run",), ("cluster", "-n", "2")])
def test_only_loopback(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A run listens at its port of metrics alone; a cluster also at one for each of its processes; never at 3030."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service", *command, *LONG],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "300"}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with ending(process):
        assert process.stdout is not None
        address = next(w for line in process.stdout for w in line.split() if w.startswith("http://"))
        while "aura_events_total" not in text_of(address):  # the flow runs
            assert process.poll() is None
            time.sleep(0.1)
        found = listening(process)
    assert {host for host, _ in found} == {"127.0.0.1"}
    assert int(address.split(":")[2].split("/")[0]) in {port for _, port in found}
    assert 3030 not in {port for _, port in found}
    if command == ("run",):
        assert len(found) == 1
