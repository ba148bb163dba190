"""One process of a cluster, forked in advance: it does what it is told to, an order at a time.

    assemble    open the source, load the models, build the flow                says ready
    run         as process k of n, to the end of the source or a drain          says over, and whether that is the end
    collect     put the results of the run that is over together                says over
    sit_out     archive events unread until an emergency is over                says over

A process that runs says `emergency` once that is decided: all are to drain.
What fails is said too, as the message for the user, and ends the process. SIGTERM asks for a drain.
"""

import faulthandler
import signal
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy.ma  # noqa: F401 (pyarrow imports it with its first array, which would cost the first result 0.1 s)
from bytewax.testing import cluster_main

from flows.assemble import Assembled, assemble
from flows.settings.root import Settings
from flows.sinks import fence
from kernels.errors import AuraError
from operators.batch import Tally
from operators.decisions import FILE, DecisionLog
from operators.drain import DRAIN
from service.cluster.processes import Channel
from service.cluster.team import kind_of
from service.cluster.underway import Underway
from service.cluster.witness import witness
from service.collect import collect, places
from service.degrade.emergency import archive_unread
from service.degrade.governed import governed
from service.degrade.keeping import sit_out
from service.engine import engine
from service.limits import watched_limits
from service.observe.logs import log
from service.observe.watching import watched_member
from service.recovery.store import Store

__all__ = ["LOG", "Work", "await_listeners"]

LOG = "processes.log"
"""In the recovery directory: what the engine says, and tracebacks."""
_DIAL_S, _DIAL_MOST_S = 0.001, 0.02  # between two looks, first and later
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
            try:
                with engine(self.store.directory / LOG):
                    made = self._obey(order, made, channel)
            except BaseException as error:
                channel.say(_failed(error, self.store.directory / LOG))
                raise

    def _obey(self, order: dict[str, Any], made: Assembled | None, channel: Channel) -> Assembled | None:
        if order["do"] == "sit_out":
            self._sit_out(channel, **order["as"])
            channel.say({"say": "over"})
        elif made is None:
            made = assemble(
                self.settings, sink=self.sink, until_end=self.until_end, decisions=self._decisions()
            )
            channel.say({"say": "ready"})
        elif order["do"] == "run":
            channel.say({"say": "over"} | self._run(made, channel, **order["as"]))
        elif order["do"] == "collect":
            channel.say({"say": "over"} | self._collect(made, **order["as"]))
        return made

    def _run(self, made: Assembled, channel: Channel, process: int, addresses: list[str]) -> dict[str, Any]:
        """Run the flow as process `process` of those at `addresses`."""

        def note(error: Exception) -> None:
            traceback.print_exception(error)
            channel.say(_failed(error, self.store.directory / LOG))

        underway = Underway()
        witness(made.flow, note, underway)
        channel.beat(partial(_look, underway, channel, self.store.directory / LOG))
        with underway.doing("the start of the others"):
            await_listeners(addresses[:process])
        if process == 0:  # before it listens, and so before the others, which wait for that, can write
            with underway.doing("fencing the writers before these"):
                fence(made.sink)
        with (
            watched_limits(
                self.settings, made, lambda words: log("limit_alert", level="warning", message=words)
            ),
            governed(
                self.settings,
                None,
                sink=self.sink,
                store=self.store,
                who=str(process),
                save=lambda: channel.say({"say": "emergency"}),
            ) as found,  # fmt: skip
            watched_member(
                self.settings,
                made,
                self.store.directory,
                process,
                sink=self.sink,
                governor=found.governor if found else None,
            ),
        ):
            cluster_main(made.flow, addresses, process, **self.store.engine_options())  # type: ignore[no-untyped-call]
        return {"complete": DRAIN.cut_short == 0, "account": asdict(made.account)}

    def _sit_out(self, channel: Channel, who: int) -> None:
        """Watch as process `who` of those that have drained; number 0 archives for all of them."""
        stopped = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
        channel.beat()
        archive = partial(archive_unread, self.settings) if who == 0 else _nothing
        with governed(
            self.settings, None, sink=self.sink, store=self.store, who=str(who), save=lambda: None
        ) as found:
            if found is not None and found.governor is not None:
                sit_out(found.governor, archive, stopped)

    def _decisions(self) -> DecisionLog | None:
        """Return what the run obeys, if it may degrade."""
        if not self.settings.degradation.enabled:
            return None
        return DecisionLog(self.store.directory / "store" / FILE, self.settings.border_us)

    def _collect(self, made: Assembled, seconds: float, account: dict[str, int]) -> dict[str, Any]:
        directory = self.settings.sink.directory
        made.account.add(Tally(**account))
        summary = collect(made, directory, seconds=seconds)
        return {"summary": summary, "places": places(made, directory)}


def _look(underway: Underway, channel: Channel, log: Path) -> None:
    """Say so if the flow's thread does not come back, and where it is: what hears it ends this process."""
    if (stuck := underway.overdue()) is not None:
        faulthandler.dump_traceback()
        channel.say(_failed(AuraError(stuck, f"Where it was is in {log}"), log))


def _failed(error: BaseException, log: Path) -> dict[str, Any]:
    """Return the words for what has failed; a panic of the engine only tells that another process has ended."""
    if isinstance(error, AuraError):
        known = {"message": error.message, "hint": error.hint, "kind": kind_of(error)}
        return {"say": "failed", "rank": 1} | known
    message, rank = f"{type(error).__name__}: {error}", int(isinstance(error, Exception))
    hint = f"The traceback is in {log}"
    return {"say": "failed", "rank": rank, "message": message, "hint": hint, "kind": "failed"}


def _nothing(over: threading.Event) -> None:
    over.wait()


def _drain(number: int, frame: object) -> None:  # noqa: ARG001 (signal names them)
    DRAIN.requested = True


def await_listeners(addresses: list[str]) -> None:
    """Wait until those that this process dials listen, if they are of this host: who dials too early waits a second."""
    local = {int(a.rpartition(":")[2]) for a in addresses if a.startswith("127.0.0.1:")}
    wait_s = _DIAL_S
    while not local <= _listening():
        time.sleep(wait_s)
        wait_s = min(
            wait_s + _DIAL_S, _DIAL_MOST_S
        )  # the first may be at the brokers for long, and needs the CPU


def _listening() -> set[int]:
    rows = (line.split() for line in _PROC_TCP.read_text().splitlines()[1:])
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTENS}
