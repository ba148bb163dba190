"""What the page of the demonstration may do to its cluster: kill a process, and ask for the number it had before."""

import os
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from kernels.errors import AuraError

__all__ = ["Cluster", "Controls"]


class Cluster(Protocol):
    """Whoever supervises."""

    def read(self) -> dict[str, Any]:
        """Return the status; AuraError if there is none."""

    def ask(self, request: str) -> None:
        """Send a request."""


@dataclass
class Controls:
    """The cluster of the demonstration.

    Parameters
    ----------
    cluster
        Its supervisor.
    processes
        How many there are to be.
    """

    cluster: Cluster
    processes: int
    _killed: dict[str, Any] | None = None
    _dice: random.Random = field(default_factory=random.Random)

    def status(self) -> dict[str, Any]:
        """Return the state of the cluster, and what became of the last kill."""
        try:
            found = self.cluster.read()
        except AuraError:
            return {"state": "starting", "nodes": 0, "wanted": self.processes, "can": True}
        self._follow(found)
        kept = ("state", "nodes", "wanted", "restarts", "recovery_s", "failure", "processes")
        return {name: found[name] for name in kept} | {
            "killed": self._killed,
            "can": True,
            "most": self.processes,
        }

    def kill(self) -> dict[str, Any]:
        """Kill one process of the cluster, any; return which.

        Raises
        ------
        AuraError
            There is none to be killed.
        """
        found = self.cluster.read()
        if found["state"] != "running" or not found["processes"]:
            raise AuraError(
                f"the cluster is {found['state']}: there is no process to kill", "Wait until it runs"
            )
        pid = self._dice.choice(found["processes"])
        os.kill(pid, signal.SIGKILL)
        self._killed = {"pid": pid, "at_s": time.time(), "restarts": found["restarts"], "back_s": None}
        return self._killed

    def restore(self) -> None:
        """Ask for as many processes as there were."""
        self.cluster.ask(f"scale {self.processes}")

    def _follow(self, found: dict[str, Any]) -> None:
        killed = self._killed
        if killed is None or killed["back_s"] is not None or found["restarts"] <= killed["restarts"]:
            return
        if found["state"] == "running" and found["recovery_s"] is not None:
            killed["back_s"] = found["recovery_s"]
