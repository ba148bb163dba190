"""A cluster of real processes, killed, stopped, drained and scaled: its results are those of one process that nobody disturbs."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command import aura, json_of

from service.cluster.processes import Channel, Process
from service.cluster.status import read_status
from service.cluster.team import HANG_S

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 90.0
LONG = ("--set", "simulate.agents=4000", "--set", "simulate.duration=40s")
SLOWLY = ("--set", "input.speed=8")  # five seconds at least, to be disturbed in, however fast the machine is

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the supervisor asks Linux which ports listen"
)


class Cluster:
    """`aura cluster` as a process of its own."""

    def __init__(self, out: Path, *options: str, processes: int = 3) -> None:
        self.recovery = out / ".recovery"
        self._log = (out.parent / "supervisor.log").open("a")
        line = [sys.executable, "-m", "service", "cluster", "-n", str(processes), "--profile", "distributed"]
        line += ["--out", str(out), "--json", *options]
        self.process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=self._log, text=True)

    def status(self) -> dict[str, Any]:
        """What the supervisor of this start wrote last."""
        try:
            found = read_status(self.recovery)
        except Exception:
            return {"state": "none"}
        return found if found["supervisor"] == self.process.pid else {"state": "none"}

    def until(self, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the status is as asked for; return it."""
        end = time.monotonic() + WAIT_S
        while not reached(found := self.status()):
            assert self.process.poll() is None, "it ended before"
            assert time.monotonic() < end, found
            time.sleep(0.005)
        return found

    def running(self, **expected: int) -> dict[str, Any]:
        """Wait until an epoch is done."""
        return self.until(lambda s: s["state"] == "running" and all(s[k] == v for k, v in expected.items()))

    def ended(self) -> tuple[int, dict[str, Any] | None]:
        """Wait for the end; return the exit code and the summary."""
        out, _ = self.process.communicate(timeout=WAIT_S)
        self._log.close()
        return self.process.returncode, json.loads(out) if out else None


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """A function that starts a cluster; what is left of them at the end of the test is killed."""
    started: list[Cluster] = []

    def start(*options: str, processes: int = 3) -> Cluster:
        started.append(Cluster(tmp_path / "out", *LONG, *SLOWLY, *options, processes=processes))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.ended() if each.process.stdout and not each.process.stdout.closed else None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The summary of one process."""
    out = str(tmp_path_factory.mktemp("run"))
    found: dict[str, Any] = json_of("run", "--profile", "distributed", *LONG, "--json", "--out", out)
    return found


def _same(found: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    assert found is not None
    changing = {"seconds", "events_per_s", "limits"}
    assert {k: v for k, v in found.items() if k not in changing} == {
        k: v for k, v in expected.items() if k not in changing
    }


def test_killed(cluster: Callable[..., Cluster], undisturbed: dict[str, Any], tmp_path: Path) -> None:
    """Killing a process, and another while the rest starts again, loses nothing and doubles nothing."""
    chance = random.Random(1)
    running = cluster()
    running.running()
    time.sleep(chance.random() / 2)
    os.kill(chance.choice(running.status()["processes"]), signal.SIGKILL)
    status = running.until(lambda s: s["restarts"] == 1 and len(s["processes"]) == 2)
    time.sleep(chance.random() / 5)
    os.kill(chance.choice(status["processes"]), signal.SIGKILL)
    running.running(nodes=1, restarts=2)
    code, summary = running.ended()
    assert code == 0
    _same(summary, undisturbed)
    assert not (tmp_path / "out" / ".parts").exists()
    assert not (tmp_path / "out" / ".recovery" / "store").exists()


def test_stopped_drained_and_scaled(cluster: Callable[..., Cluster], undisturbed: dict[str, Any]) -> None:
    """A hung process is noticed in time; a drain ends with 0; the next start, of another size, and scaling go on."""
    first = cluster("--restart", "all", processes=2)
    status = first.running(nodes=2)
    os.kill(status["processes"][0], signal.SIGSTOP)
    stopped = time.monotonic()
    first.until(lambda s: s["restarts"] == 1)
    assert time.monotonic() - stopped < HANG_S + 10  # the rest is a slow machine's
    first.running(nodes=2)
    first.process.terminate()
    assert first.ended() == (0, None)

    second = cluster(processes=1)
    second.running(nodes=1)
    assert aura("cluster", "scale", "3", "--recovery", str(second.recovery)).stdout == "3 nodes up\n"
    code, summary = second.ended()
    assert code == 0
    _same(summary, undisturbed)


def test_supervisor_killed(cluster: Callable[..., Cluster], undisturbed: dict[str, Any]) -> None:
    """The processes die with their supervisor, and the next one goes on."""
    first = cluster()
    processes = first.running()["processes"]
    first.process.kill()
    first.ended()
    second = cluster("--set", "event_time.idle_timeout=5s", processes=1)
    second.running()
    assert not any(_lives(pid) for pid in processes)
    code, summary = second.ended()
    assert code == 0
    _same(summary, undisturbed)


def test_useless(cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """What no restart can change ends the cluster at once, with its message."""
    given = tmp_path / "bad.csv"
    given.write_text("a,b\n1,2\n")
    code, _ = cluster("--source", str(given), processes=2).ended()
    assert code == 2
    log = (tmp_path / "supervisor.log").read_text()
    assert log.startswith("aura: ")
    assert "Traceback" not in log


def test_process() -> None:
    """A child obeys, answers, beats, and its end is noticed."""

    def main(channel: Channel) -> None:
        channel.beat()
        while (order := channel.hear()) is not None:
            channel.say({"say": order["do"]})

    child = Process(main)
    try:
        child.order({"do": "ready"})
        _until(lambda: child.listen() or child.has_said("ready"))
        _until(lambda: child.check() == 0)
        child.signal(signal.SIGSTOP)
        _until(lambda: child.check() > 3)
    finally:
        child.kill()
    assert child.died == "killed by SIGKILL"


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _until(reached: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)
