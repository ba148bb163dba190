"""Where the processes of a flow are, and who opens its store: all on this host, or one on each of several.

On several hosts two variables say where the peers are: NODE_ID (aura-cluster-2: number 2 of those named aura-cluster) and
CLUSTER_SIZE. The recovery directory is one that all hosts see; number 0 opens it, the others wait for that.
"""

import re
import socket
import time
from collections.abc import Mapping, Sequence

from flows.settings.root import Settings
from kernels.errors import AuraError, ConfigError
from service.recovery.store import Store

__all__ = ["Loopback", "identity", "peers", "shared_store"]

_NODE = re.compile(r"(?P<name>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)-(?P<number>\d{1,3})")
_LOOK_S = 0.2
_STORE_S = 300.0  # number 0 may still be pulling its image


class Loopback:
    """Ports of this host, one a process: bound, so that nobody else is given them; the engine listens there."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def __call__(self, processes: int) -> tuple[Sequence[int], list[str]]:
        """Return the numbers of the processes, which all run here, and their addresses."""
        while len(self._sockets) < processes:
            bound = socket.socket()
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(("127.0.0.1", 0))
            self._sockets.append(bound)
        return range(processes), [f"127.0.0.1:{s.getsockname()[1]}" for s in self._sockets[:processes]]


def identity(variables: Mapping[str, str]) -> tuple[str, int, int]:
    """Return what the processes are named, the number of this one, and how many there are.

    Raises
    ------
    ConfigError
        NODE_ID or CLUSTER_SIZE is missing or says nothing.

    Examples
    --------
    >>> identity({"NODE_ID": "aura-cluster-2", "CLUSTER_SIZE": "3"})
    ('aura-cluster', 2, 3)
    """
    node, size = variables.get("NODE_ID", ""), variables.get("CLUSTER_SIZE", "")
    match = _NODE.fullmatch(node)
    if match is None or not size.isdecimal() or int(size) < 1:
        raise ConfigError(
            f"NODE_ID={node!r}, CLUSTER_SIZE={size!r}: expected a name with a number, and how many there are",
            "For example NODE_ID=aura-cluster-2 CLUSTER_SIZE=3, as a StatefulSet names its pods",
        )
    return match["name"], int(match["number"]), int(size)


def peers(name: str, number: int, size: int, service: str, port: int) -> list[str]:
    """Return the addresses of all processes: that of number `number`, itself, is every interface of its host.

    Examples
    --------
    >>> peers("aura", 1, 3, "mesh", 2101)
    ['aura-0.mesh:2101', '0.0.0.0:2101', 'aura-2.mesh:2101']
    """
    domain = f".{service}" if service else ""
    names = [f"{name}-{k}{domain}" for k in range(size)]
    names[number] = "0.0.0.0"  # peers come from elsewhere; a network policy keeps others out
    return [f"{each}:{port}" for each in names]


def shared_store(settings: Settings, number: int, size: int, *, files: bool) -> Store:
    """Return the store of a flow on several hosts: number 0 opens it for `size` of them, the others wait for that."""
    if number == 0:
        return Store.open(settings, writers=size, files=files)
    end_s = time.monotonic() + _STORE_S
    while True:
        try:
            return Store.attach(settings)
        except ConfigError:
            raise
        except AuraError:
            if time.monotonic() > end_s:
                raise
        time.sleep(_LOOK_S)
