"""A cluster of AURA over Kafka, as processes of their own, and what its supervisor says of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chaos.events import PROFILE

from kernels.errors import AuraError
from service.cluster.status import read_status
from service.cluster.worker import LOG

__all__ = ["ENV", "ROOT", "Flow"]

ROOT = Path(__file__).resolve().parents[2]
_WAIT_S = 90.0
ENV = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
"""In which this package and AURA can be imported."""


class Flow:
    """`aura cluster` over one topic, started as often as need be.

    Parameters
    ----------
    folder
        Of its configuration, its recovery store and its log.
    bootstrap, prefix
        Where the topics are.
    off
        Protections that are switched off.
    options
        More of the command line.
    """

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        prefix: str,
        *,
        off: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.folder, self.recovery = folder, folder / "out" / ".recovery"
        self.points = folder / "points"
        self.points.mkdir(parents=True)
        self.profile = folder / "chaos.toml"
        self.profile.write_text(PROFILE)
        self.place = ("--set", f"kafka.bootstrap={bootstrap}", "--set", f"kafka.prefix={prefix}")
        self._off, self._options, self.starts = ",".join(off) or "-", options, 0
        self.log = folder / "supervisor.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, processes: int, *options: str) -> None:
        """Start it: a run, or what is left of it."""
        line = [
            sys.executable,
            "-m",
            "chaos.launch",
            str(self.points),
            self._off,
            "cluster",
            "-n",
            str(processes),
        ]
        line += [
            "--profile",
            str(self.profile),
            "--sink",
            "kafka",
            "--grace",
            "60",
            "--out",
            str(self.folder / "out"),
        ]
        line += [*self.place, *self._options, *options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(line, cwd=ROOT, env=ENV, stdout=log, stderr=log)
        self.starts += 1

    def status(self) -> dict[str, Any]:
        """What the supervisor of this start wrote last."""
        try:
            found = read_status(self.recovery)
        except (AuraError, json.JSONDecodeError):
            return {"state": "none"}
        return found if self.process and found["supervisor"] == self.process.pid else {"state": "none"}

    def until(self, reached: Callable[[dict[str, Any]], bool], wait_s: float = _WAIT_S) -> dict[str, Any]:
        """Wait until the status is as asked for; return it."""
        end = time.monotonic() + wait_s
        while not reached(found := self.status()):
            assert self.process is None or self.process.poll() is None, self.said()
            assert time.monotonic() < end, (found, self.said())
            time.sleep(0.005)
        return found

    def running(self, **expected: int) -> dict[str, Any]:
        """Wait until an epoch is done."""
        return self.until(lambda s: s["state"] == "running" and all(s[k] == v for k, v in expected.items()))

    def signal(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self, wait_s: float = _WAIT_S) -> int:
        """Wait for its end; return the exit code."""
        assert self.process is not None
        return self.process.wait(wait_s)

    def alive(self) -> bool:
        """Return whether it runs."""
        return self.process is not None and self.process.poll() is None

    def scale(self, processes: int) -> None:
        """Ask for another number of processes, as a user does."""
        line = [
            sys.executable,
            "-m",
            "service",
            "cluster",
            "scale",
            str(processes),
            "--recovery",
            str(self.recovery),
        ]
        subprocess.run(line, cwd=ROOT, check=True, capture_output=True, timeout=_WAIT_S)

    def said(self) -> str:
        """What it has printed, and where its processes are: the end of both."""
        for pid in pids(self.status()):
            os.kill(pid, signal.SIGUSR1)
        time.sleep(0.2)
        logs = [log.read_text()[-6000:] for log in (self.log, self.recovery / LOG) if log.exists()]
        return "\n".join(logs)

    def kill(self) -> None:
        """End whatever is left of it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


def pids(status: dict[str, Any]) -> list[int]:
    """Return the processes of a status that live."""
    return [
        pid for pid in status.get("processes", ()) if Path(f"/proc/{pid}").exists() and pid != os.getpid()
    ]
