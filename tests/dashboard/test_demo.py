"""The demonstration as a user starts it: a real cluster, a real browser, and a worker that is killed by its button."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from browser import opened
from ending import ending
from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 120.0

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform != "linux", reason="the supervisor asks Linux which ports listen"),
]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[str]:
    """The address of a demonstration of 2,000 agents; in the end nothing of it is left."""
    line = [
        sys.executable,
        "-m",
        "service",
        "demo",
        "--agents",
        "2000",
        "--port",
        "0",
        "--out",
        str(tmp_path / "out"),
    ]
    with ending(subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield found[0]
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        process.communicate(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive


def _state(address: str) -> dict:
    return httpx.get(f"{address}api/v1/state", timeout=60).json()


def _until(address: str, reached, what: str) -> dict:
    end_s = time.monotonic() + WAIT_S
    while not reached(found := _state(address)):
        assert time.monotonic() < end_s, f"{what}: {found}"
        time.sleep(0.1)
    return found


def test_a_worker_is_killed_and_the_cluster_goes_on(demo: str) -> None:
    """The button kills a process; the page tells in how many seconds the others went on, and nothing is lost."""
    _until(
        demo, lambda s: len(s["components"]) == 3 and s["agents"] >= 2000 and s["windows"], "three workers"
    )
    said = _until(
        demo,
        lambda s: len(s["health"]["components"]) > 5 and s["hierarchy"][3],
        "their health and a step of level 3",
    )
    assert {"flow", "kernels", "models", "disk", "memory", "clock"} <= {
        c["name"] for c in said["health"]["components"]
    }
    with opened(demo) as page:
        page.wait_for_function("() => window.aura && aura.scene.swarm.alive >= 2000")
        expect(page.locator("#kill")).to_be_enabled(timeout=WAIT_S * 1e3)
        before = {c["pid"] for c in _state(demo)["components"]}
        page.locator("#kill").click()
        expect(page.locator("#toast")).to_contain_text(
            "went on from the last snapshot after", timeout=WAIT_S * 1e3
        )
        assert re.search(r"after \d+\.\d\d s; nothing is lost", page.locator("#toast").inner_text())
        after = _until(demo, lambda s: len(s["components"]) == 2, "two workers")
        page.get_by_role("tab", name="Health").click()
        expect(page.locator("[data-problem=cluster]")).to_contain_text(
            "2 of 3 processes", timeout=WAIT_S * 1e3
        )
        expect(page.locator("[data-problem=cluster]")).to_contain_text("Restore")
        assert not before & {c["pid"] for c in after["components"]}
        events = after["account"]["events_in"]
        grown = _until(demo, lambda s: s["account"]["events_in"] > events, "more events")
        account = grown["account"]
        assert account["events_in"] == sum(n for name, n in account.items() if name != "events_in")
        page.get_by_role("button", name="Restore").click()
        _until(demo, lambda s: len(s["components"]) == 3, "three workers again")


def test_every_worker_answers(demo: str) -> None:
    """A question goes to all three workers; together they know every agent, each of them once."""
    _until(demo, lambda s: len(s["components"]) == 3 and s["agents"] >= 2000, "three workers")
    found = httpx.get(
        f"{demo}api/v1/agents", params={"limit": 100_000, "deadline_ms": 30_000}, timeout=60
    ).json()
    assert [part["answered"] for part in found["workers"]] == [True] * 3
    ids = [row["agent_id"] for row in found["answer"]]
    assert len(ids) == len(set(ids))
    assert 2000 <= len(ids) <= 2100  # those that have just died are among them
    nearest = httpx.get(
        f"{demo}api/v1/agents", params={"near": "500,500,50", "k": 5, "deadline_ms": 30_000}, timeout=60
    ).json()
    distances = [row["distance_m"] for row in nearest["answer"]]
    assert len(distances) == 5
    assert distances == sorted(distances)


def test_orphans(tmp_path: Path) -> None:
    """A demonstration that is killed with -9 leaves no cluster behind."""
    line = [
        sys.executable,
        "-m",
        "service",
        "demo",
        "--agents",
        "200",
        "--port",
        "0",
        "--out",
        str(tmp_path / "out"),
    ]
    with ending(subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None
        _until(address[0], lambda s: len(s["components"]) == 3, "three workers")
        family = psutil.Process(process.pid).children(recursive=True)
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
