"""One process of a cluster, forked in advance: it does what it is told to, an order at a time.

    assemble    open the source, load the models, build the flow                says ready
    run         as process k of n, to the end of the source or to a drain       says over, and whether the source is at its end
    collect     put the results of the run that is over together                says over

What fails is said too, as the message for the user, and ends the process. SIGTERM asks for a drain.
"""

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.assemble import Assembled, assemble
from flows.settings.root import Settings
from kernels.errors import AuraError, ConfigError
from operators.batch import Tally
from operators.drain import DRAIN
from service.collect import collect, places
from service.engine import engine
from service.processes import Channel
from service.recovery import Store

__all__ = ["Work"]

_DIAL_S = 0.001
_PROC_TCP = Path("/proc/net/tcp")
_LISTENS = "0A"  # state of a socket there


@dataclass
class Work:
    """What the processes of a cluster run.

    Parameters
    ----------
    settings
        Validated; `recovery.directory` is set.
    sink
        `files` or `kafka`.
    until_end
        A Kafka source stops at what is the end when the run begins.
    store
        Of the run.
    """

    settings: Settings
    sink: str
    until_end: bool
    store: Store

    def serve(self, channel: Channel) -> None:
        """Be a process of the cluster: take orders until there are no more."""
        signal.signal(signal.SIGTERM, _drain)
        made: Assembled | None = None
        while (order := channel.hear()) is not None:
            with _told(channel):
                if order["do"] == "assemble":
                    made = assemble(self.settings, sink=self.sink, until_end=self.until_end)
                    channel.say({"say": "ready"})
                elif order["do"] == "run" and made is not None:
                    channel.say({"say": "over"} | self._run(made, channel, **order["as"]))
                elif order["do"] == "collect" and made is not None:
                    channel.say({"say": "over"} | self._collect(made, **order["as"]))

    def _run(self, made: Assembled, channel: Channel, process: int, addresses: list[str]) -> dict[str, Any]:
        """Run the flow as process `process` of those at `addresses`."""
        from bytewax.testing import cluster_main

        channel.beat()
        _await_listeners(addresses[:process])
        with engine(self.store.directory / f"process-{process}.log"):
            cluster_main(made.flow, addresses, process, **self.store.engine_options())  # type: ignore[no-untyped-call]
        return {"complete": DRAIN.cut_short == 0, "account": asdict(made.account)}

    def _collect(self, made: Assembled, seconds: float, account: dict[str, int]) -> dict[str, Any]:
        directory = self.settings.sink.directory
        made.account.add(Tally(**account))
        summary = collect(made, directory, seconds=seconds)
        return {"summary": summary, "places": places(made, directory)}


@contextlib.contextmanager
def _told(channel: Channel) -> Iterator[None]:
    """Tell the parent what fails: the message of an AuraError is for the user, another is a consequence or a fault."""
    try:
        yield
    except AuraError as error:
        words = {"message": error.message, "hint": error.hint, "final": isinstance(error, ConfigError)}
        channel.say({"say": "failed", "cause": True} | words)
        raise
    except BaseException as error:  # the engine's panics are no Exceptions
        message = f"{type(error).__name__}: {error}"
        channel.say({"say": "failed", "cause": False, "message": message, "hint": "", "final": False})
        raise


def _drain(number: int, frame: object) -> None:  # noqa: ARG001 (signal names them)
    DRAIN.requested = True


def _await_listeners(addresses: list[str]) -> None:
    """Wait until those that this process dials listen, if they are of this host: who dials too early waits a second."""
    local = {int(a.rpartition(":")[2]) for a in addresses if a.startswith("127.0.0.1:")}
    while not local <= _listening():
        time.sleep(_DIAL_S)


def _listening() -> set[int]:
    rows = (line.split() for line in _PROC_TCP.read_text().splitlines()[1:])
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTENS}
