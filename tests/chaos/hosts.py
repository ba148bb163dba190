"""`aura worker` as on several hosts: processes of their own, given an ordinal and a count, that share a recovery directory."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from chaos.arena import Arena
from chaos.flow import ENV, ROOT

__all__ = ["Hosts"]

_WAIT_S = 90.0
_PORTS = range(15_000, 19_000, 8)


class Hosts:
    """The workers of an arena, in place of its cluster.

    Parameters
    ----------
    arena
        Whose topics they are.
    """

    def __init__(self, arena: Arena) -> None:
        self._arena, self._flow = arena, arena.flow
        self.recovery = arena.folder / "shared" / ".recovery"
        self._port = next(first for first in _PORTS if all(_is_free(first + k) for k in range(4)))
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int, size: int, **variables: str) -> None:
        """Start the worker of an ordinal."""
        line = [sys.executable, "-m", "chaos.launch", str(self._flow.points), "-", "worker"]
        line += ["--profile", str(self._flow.profile), "--source", "kafka", "--recovery", str(self.recovery)]
        line += ["--out", str(self.recovery.parent), "--grace", "15", *self._flow.place]
        env = ENV | {"NODE_ID": f"aura-{number}", "CLUSTER_SIZE": str(size), "CHAOS_PORT": str(self._port)}
        env |= variables
        self.recovery.parent.mkdir(exist_ok=True)
        with self._flow.log.open("ab") as log:
            self.running[number] = subprocess.Popen(line, cwd=ROOT, env=env, stdout=log, stderr=log)

    def status(self, number: int) -> dict[str, Any]:
        """What the worker's supervisor wrote last."""
        try:
            found = json.loads((self.recovery / f"node-{number}" / "status.json").read_text())
        except (OSError, ValueError):
            return {"state": "none"}
        return found if found["supervisor"] == self.running[number].pid else {"state": "none"}

    def until(self, number: int, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a worker's status is as asked for; return it."""
        end = time.monotonic() + _WAIT_S
        while not reached(found := self.status(number)):
            assert self.alive(), self._flow.log.read_text()[-4000:]
            assert time.monotonic() < end, (found, self._flow.log.read_text()[-4000:])
            time.sleep(0.01)
        return found

    def run(self) -> None:
        """Wait until all have done an epoch together."""
        for number in self.running:
            self.until(number, lambda status: status["state"] == "running")

    def alive(self) -> bool:
        """Return whether all run."""
        return all(process.poll() is None for process in self.running.values())

    def stop(self) -> list[int]:
        """Ask all to end, as a StatefulSet does that gets other pods; return their exit codes."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(_WAIT_S) for process in self.running.values()]
        self.running.clear()
        return codes

    def kill(self) -> None:
        """End whatever is left."""
        for process in self.running.values():
            process.kill()
            process.wait()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
