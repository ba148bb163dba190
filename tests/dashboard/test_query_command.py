"""`aura query` and the errors of `aura dashboard`, each as a process of its own."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from served import serving
from test_app import BOX
from views import filled

from dashboard.app import Site
from dashboard.hub import Hub
from dashboard.pictures import Pictures

ROOT = Path(__file__).resolve().parents[2]


def _aura(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "service", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a server that knows five agents and their cells."""
    view = filled([1, 2, 3, 4, 5])
    with serving(Site(Hub(view), Pictures(view, BOX), "test")) as found:
        yield found


def test_agents(address: str, tmp_path: Path) -> None:
    """The nearest agents come as JSON and as Parquet, with who answered."""
    out = tmp_path / "found.parquet"
    done = _aura("query", "agents", "--near", "3,6", "--k", "2", "--at", address, "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [row["agent_id"] for row in said["answer"]] == ["3", "2"]
    assert said["workers"][0]["worker"] == "dashboard"
    assert pq.read_table(out)["agent_id"].to_pylist() == [3, 2]


def test_for_people(address: str) -> None:
    """Without --json there is a table, and a line for each who answered."""
    done = _aura("query", "cells", "second", "--top", "count", "--limit", "1", "--at", address)
    assert done.returncode == 0, done.stderr
    assert "50" in done.stdout
    assert "dashboard: 1 rows in" in done.stdout


def test_refused(address: str) -> None:
    """A question that is none, or put to nobody, ends in one line that says what to do."""
    wrong = _aura("query", "agents", "--box", "1,2", "--at", address)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert "box" in wrong.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = _aura("query", "alerts", "--at", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert nobody.returncode == 1
    assert "aura dashboard" in nobody.stderr


def test_port_in_use() -> None:
    """A port that is in use ends in a message that names another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = _aura("dashboard", "--profile", "demo", "--port", str(port))
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_host_needs_a_token() -> None:
    """Where others can reach it, a token is needed."""
    done = _aura("dashboard", "--profile", "demo", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "--token" in done.stderr
