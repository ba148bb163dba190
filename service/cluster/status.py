"""What a supervisor lets others know of its cluster: `status.json`. How they ask it for something: a named pipe."""

import errno
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kernels.errors import AuraError

__all__ = ["Control", "Status", "ask", "is_running", "read_status"]

_PIPE, _FILE = "control", "status.json"


@dataclass
class Status:
    """The state of a cluster.

    Parameters
    ----------
    state
        starting, running, draining, waiting (for the next start), emergency, ended, stopped or failed.
    nodes, wanted
        Processes that are up, and how many are to be.
    restarts
        After a failure.
    recovery_s
        From the notice of the last failure to the first epoch done after it.
    epoch
        The epoch that the last start resumed at.
    supervisor, processes
        Process ids; of the processes by their number.
    failure
        The last one.
    """

    state: str = "starting"
    nodes: int = 0
    wanted: int = 0
    restarts: int = 0
    recovery_s: float | None = None
    epoch: int = 0
    supervisor: int = field(default_factory=os.getpid)
    processes: list[int] = field(default_factory=list)
    failure: str = ""

    def write(self, directory: Path) -> None:
        """Put it into `directory`, at once."""
        temporary = directory / f".{_FILE}"
        temporary.write_text(json.dumps(asdict(self)) + "\n")
        temporary.replace(directory / _FILE)


class Control:
    """The pipe in `directory` that takes requests, a line each."""

    def __init__(self, directory: Path) -> None:
        path = directory / _PIPE
        if not path.exists():
            os.mkfifo(path, 0o600)
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # also to write: so it never comes to an end

    def fileno(self) -> int:
        """Return what `select` watches."""
        return self._pipe

    def requests(self) -> list[str]:
        """Return the requests that have come; a line is short enough to come whole."""
        try:
            return os.read(self._pipe, 4096).decode().splitlines()
        except BlockingIOError:
            return []


def ask(directory: Path, request: str) -> None:
    """Send a request to the supervisor of the cluster in `directory`.

    Raises
    ------
    AuraError
        There is none.
    """
    try:
        pipe = os.open(directory / _PIPE, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.ENOENT):
            raise
        raise AuraError(f"no cluster runs in {directory}", "Name its folder with --recovery") from None
    try:
        os.write(pipe, f"{request}\n".encode())
    finally:
        os.close(pipe)


def is_running(directory: Path) -> bool:
    """Return whether a supervisor is there."""
    try:
        ask(directory, "")
    except AuraError:
        return False
    return True


def read_status(directory: Path) -> dict[str, Any]:
    """Return what the supervisor of `directory` wrote last.

    Raises
    ------
    AuraError
        There has been none.
    """
    try:
        found: dict[str, Any] = json.loads((directory / _FILE).read_text())
    except OSError:
        raise AuraError(f"no cluster has run in {directory}", "Name its folder with --recovery") from None
    return found
