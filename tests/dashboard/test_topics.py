"""The page of a system elsewhere: fed by the topics of results, and an error in one line where there is none."""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest
from served import serving
from test_app import BOX

from dashboard.app import Site
from dashboard.hub import Hub
from dashboard.pictures import Pictures
from dashboard.topics import following
from dashboard.view import View
from operators.committed_reader import CommittedReader

ROOT = Path(__file__).resolve().parents[2]


def _aura(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "service", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(240)
def test_results_of_topics(kafka: str, topics: Callable[..., str], tmp_path: Path) -> None:
    """What a run has committed into the topics is what the page of these topics answers with."""
    prefix = topics()
    sets = [f"kafka.bootstrap={kafka}", f"kafka.prefix={prefix}", "simulate.duration=5s"]
    line = ["run", "--profile", "minimal", "--sink", "kafka", "--out", str(tmp_path)]
    done = _aura(*line, *(part for value in sets for part in ("--set", value)))
    assert done.returncode == 0, done.stderr
    hub = Hub(View())
    again = partial(CommittedReader, {"bootstrap_servers": [kafka]}, prefix)
    site = Site(hub, Pictures(hub.view, BOX), "test", feed=partial(following, hub, again(), again))
    with serving(site) as address:
        end_s = time.monotonic() + 60
        while len(found := hub.view.windows.starts("second")) < 5:
            assert time.monotonic() < end_s, found
            time.sleep(0.05)
        asked = {"window": "second", "start_us": found[2], "limit": 10_000}
        said = httpx.get(f"{address}/api/v1/cells", params=asked, timeout=60).json()
        assert sum(row["count"] for row in said["answer"]) == 1_000  # 100 agents, ten times a second
        assert httpx.get(f"{address}/api/v1/state", timeout=60).json()["trouble"] == ""


def test_no_broker() -> None:
    """Without a broker the command ends at once, in one message that says what to do."""
    done = _aura("dashboard", "--source", "kafka", "--port", "0", "--set", "kafka.bootstrap=127.0.0.1:1")
    assert done.returncode == 1
    assert "no Kafka broker answers at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_topics(kafka: str) -> None:
    """Without topics of results it says how they are made."""
    done = _aura(
        "dashboard",
        "--source",
        "kafka",
        "--port",
        "0",
        "--set",
        f"kafka.bootstrap={kafka}",
        "--set",
        "kafka.prefix=none.",
    )
    assert done.returncode == 1
    assert "aura topics apply" in done.stderr
    assert "Traceback" not in done.stderr
