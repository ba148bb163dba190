"""Keeps the processes of a flow running: starts them together, watches, and starts again from the last snapshot.

    a process ends, or misses its heartbeats      the others cannot go on: all are killed; start again
    one fails in a way that no start can change   give up
    many failures without an epoch done           give up, unless the brokers are away: they may come back
    asked to scale                                drain; start with the other number
    asked to stop                                 drain; what is left is in the recovery store
    it is an emergency                            drain; events go into the archive until it is over; start again
    it does not drain in time                     kill it: nothing is lost, and it goes on from the last snapshot
    no epoch is done for minutes                  as if one had failed
    all sources are at their end                  collect the results

Spares, forked and assembled while the flow runs, wait for the next start: importing and loading would cost it seconds.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from kernels.errors import AuraError, ConfigError, LostError
from operators.batch import Tally
from service.cluster.backoff import Backoff
from service.cluster.processes import BEAT_S, Process
from service.cluster.status import Control, Status
from service.cluster.team import Failure, Progress, check, check_beats, end
from service.cluster.worker import Work
from service.observe.logs import log
from service.stop import stop_signals

__all__ = ["Supervisor"]

_LOOK_S = 0.02  # between two looks whether the first epoch is done
_READY_S = 1800.0  # a process may have a large file to read before it is ready

Place = Callable[[int], tuple[Sequence[int], list[str]] | None]
"""Which numbers of so many processes run here, and the addresses of all; None: they cannot start yet."""


class _Drained(Exception):
    """The flow stopped where it was asked to, or was killed since it did not."""


@dataclass
class Supervisor:
    """Of one flow.

    Parameters
    ----------
    work
        What the processes run.
    size
        How many of them there are to be.
    place
        Where they are.
    tell
        Told what a person wants to know.
    shrink
        Whether it goes on with those that are left when one has died.
    collects
        Whether the results are put together at the end.
    grace_s
        How long a drain may take.
    home
        Folder of the status and of the control pipe; by default the recovery directory.
    patience_s
        How long the first epoch of a start may take: where others may not come. None: as long as it takes.
    wanted
        The number of processes that there are to be, where somebody else decides it; None: nobody does.
    """

    work: Work
    size: int
    place: Place
    tell: Callable[[str], None]
    shrink: bool = True
    collects: bool = True
    grace_s: float = 10.0
    home: Path | None = None
    patience_s: float | None = None
    wanted: Callable[[], int | None] = lambda: None
    _status: Status = field(default_factory=Status)
    _spares: list[Process] = field(default_factory=list)
    _backoff: Backoff = field(default_factory=Backoff)
    _asked: int | None = None  # a number of processes to go on with; 0: stop
    _emergency: bool = False  # whether it drains, or has drained, because of one
    _numbers: Sequence[int] = (0,)  # of the processes that run here
    _failed_s: float | None = None  # when, until that is made good

    def __post_init__(self) -> None:
        """Take requests from now on."""
        self._home = self.home or self.work.store.directory
        self._control = Control(self._home)
        self._epoch = self.work.store.resumed_at

    def run(self) -> dict[str, Any] | None:
        """Run until the sources are at their end; return what the collector said, or None if it was stopped before.

        Raises
        ------
        AuraError
            It does not run, and will not.
        """
        try:
            with stop_signals(self._stop) as self._wakeup:
                found = self._run()
            self._set("stopped" if found is None else "ended")
        except AuraError as error:
            self._set("failed", failure=error.message)
            raise
        finally:
            end(self._spares)
        return found

    def _run(self) -> dict[str, Any] | None:
        first_s = time.monotonic()
        while True:
            start_s = time.monotonic()
            try:
                account = self._start()
                return self._collect(account, time.monotonic() - first_s) if self.collects else {}
            except _Drained:
                self._epoch = self.work.store.progress()
                if self._emergency:
                    self._sit_out()
                if self._asked == 0:
                    return None
                self._resize()
            except Failure as failure:
                self._make_good(failure, up_s=failure.at_s - start_s)

    def _start(self) -> Tally:
        """Run the flow to its end; return what became of the events, where the sink tells."""
        numbers, addresses = self._placed()
        self._numbers = numbers
        team = self._muster(len(numbers))
        try:
            if 0 in numbers:
                self.work.store.roll_back()
            for number, process in zip(numbers, team, strict=True):
                process.name = f"process {number} (pid {process.pid})"
                process.order({"do": "run", "as": {"process": number, "addresses": addresses}})
            self._set("starting", nodes=len(team), wanted=len(team), processes=[p.pid for p in team])
            self._watch(team)
        finally:
            end(team)
            self._set("waiting", nodes=0, processes=[])
        words = [process.has_said("over") or {} for process in team]
        if not all(said["complete"] for said in words):
            raise _Drained
        account = Tally()
        for said in words:
            account.add(Tally(**said["account"]))
        return account

    def _placed(self) -> tuple[Sequence[int], list[str]]:
        """Wait until the processes can start."""
        while (placed := self.place(self.size)) is None:
            self._wait([], BEAT_S)
            if self._asked is not None:
                raise _Drained
        return placed

    def _muster(self, count: int) -> list[Process]:
        """Return so many processes that are ready to run: the spares first."""
        team = [spare for spare in self._spares if spare.died is None][:count]
        self._spares = [spare for spare in self._spares if spare not in team]
        team += [self._fork() for _ in range(count - len(team))]
        try:
            late_s = time.monotonic() + _READY_S
            for process in team:
                process.assemble()
            while not all(process.has_said("ready") for process in team):
                self._wait(team, 1.0)
                check(team)
                if time.monotonic() > late_s:
                    raise Failure(f"a process was not ready within {_READY_S:g} s", kind="failed")
                if self._asked == 0:
                    raise _Drained
        except BaseException:
            end(team)
            raise
        return team

    def _watch(self, team: list[Process]) -> None:
        """Look after `team` until the flow is over."""
        up, looked_s, drained_s = False, time.monotonic(), None
        late_s = looked_s + self.patience_s if self.patience_s is not None else inf
        progress = Progress(self.work.store, looked_s)
        while not all(process.has_said("over") for process in team):
            self._wait(team, BEAT_S if up else _LOOK_S)
            check(team)
            now_s = time.monotonic()
            if now_s - looked_s >= BEAT_S:
                looked_s = now_s
                check_beats(team)
                progress.check(now_s)
            if not up and (up := self.work.store.progress() > self._epoch):
                self._is_up()
            if not up and now_s > late_s:
                raise Failure(f"the others did not come within {self.patience_s:g} s", kind="away")
            if drained_s is None and self._is_to_drain(team):
                drained_s = now_s
                self._drain(team)
            if drained_s is not None and now_s - drained_s > self.grace_s:
                self._give_up_drain()

    def _is_to_drain(self, team: Sequence[Process]) -> bool:
        self._emergency |= any(process.has_said("emergency") for process in team)
        return self._emergency or self._asked is not None

    def _give_up_drain(self) -> None:
        """Go on without what did not come to its end, or say that it was so if nothing goes on."""
        late = f"the flow did not drain within {self.grace_s:g} s and was killed"
        if self._asked == 0:
            hint = "Nothing is lost: the next start goes on from the last snapshot. --grace allows more time"
            raise AuraError(late, hint)
        self.tell(f"{late}; nothing is lost, it goes on from the last snapshot")
        raise _Drained

    def _sit_out(self) -> None:
        """Let a process archive events unread, and say when the emergency is over; memory is left to it."""
        self.tell("emergency: the state is saved, events go into the archive until it is over")
        end(self._spares)
        self._spares, self._emergency, asked_s = [], False, None
        (keeper,) = team = [self._fork()]
        self._set("emergency", processes=[keeper.pid])
        try:
            keeper.order({"do": "sit_out", "as": {"who": self._numbers[0]}})
            while keeper.has_said("over") is None:
                self._wait(team, BEAT_S)
                check(team)
                check_beats(team)
                if self._asked == 0 and asked_s is None:
                    asked_s = time.monotonic()
                    keeper.signal(signal.SIGTERM)
                if asked_s is not None and time.monotonic() - asked_s > self.grace_s:
                    break  # the archive has lost a file that was not complete, and reads it again
        except Failure as failure:  # the start that follows finds out whether it is over
            self.tell(f"{failure.reason} while it archived events")
        finally:
            end(team)
            self._set("waiting", processes=[])

    def _resize(self) -> None:
        """Go on as so many processes as it was asked for, if it was."""
        if self._asked:
            self.size, self._asked = self._asked, None

    def _is_up(self) -> None:
        """Note that the first epoch is done; get spares ready for the next start."""
        if self._failed_s is not None:
            took_s, self._failed_s = round(time.monotonic() - self._failed_s, 3), None
            self._status.recovery_s = took_s
            self.tell(
                f"{_processes(self._status.nodes)} went on from epoch {self._epoch} within {took_s:.2f} s"
            )
        self._set("running", epoch=self._epoch)
        self._spares = [spare for spare in self._spares if spare.died is None]
        self._spares += [self._fork() for _ in range(self._status.nodes - len(self._spares))]
        if self.work.sink == "files":  # a sink of topics stops the writers before it as it is assembled
            for spare in self._spares:
                spare.assemble()

    def _drain(self, team: list[Process]) -> None:
        self._set("draining")
        for process in team:
            process.signal(signal.SIGTERM)

    def _make_good(self, failure: Failure, *, up_s: float) -> None:
        """Get ready for another start, or raise what makes it useless."""
        if failure.kind in ("config", "lost"):
            raise (ConfigError if failure.kind == "config" else LostError)(failure.reason, failure.hint)
        self._failed_s, self._epoch = failure.at_s, self.work.store.progress()
        wait_s = self._backoff.after_failure(up_s=up_s, progress=self._epoch, vain=failure.kind != "away")
        if wait_s is None:
            raise AuraError(f"gave up after many starts without progress: {failure.reason}", failure.hint)
        if self.shrink and failure.kind == "died":
            self.size = max(1, self.size - 1)
        when = f"in {wait_s:g} s" if wait_s else "at once"
        self.tell(f"{failure.reason}; starting again {when} with {_processes(self.size)}")
        self._status.restarts += 1
        self._set("waiting", wanted=self.size, failure=failure.reason)
        while self._asked is None and (left_s := failure.at_s + wait_s - time.monotonic()) > 0:
            self._wait([], left_s)
        self._resize()

    def _collect(self, account: Tally, seconds: float) -> dict[str, Any]:
        """Let a process put the results together; it has assembled the flow, and this one has not."""
        (collector,) = team = self._muster(1)
        try:
            collector.order({"do": "collect", "as": {"seconds": seconds, "account": asdict(account)}})
            while (found := collector.has_said("over")) is None:
                self._wait(team, 1.0)
                check(team)
        except Failure as failure:
            raise AuraError(failure.reason, failure.hint) from None
        finally:
            end(team)
        return found

    def _fork(self) -> Process:
        return Process(self.work.serve, close=(self._control.fileno(), self._wakeup))

    def _wait(self, team: Sequence[Process], timeout_s: float) -> None:
        """Wait until something happens, and take it in."""
        alive = [process for process in (*team, *self._spares) if process.died is None]
        watched: list[Any] = [*alive, self._control, self._wakeup]
        ready, _, _ = select.select(watched, [], [], timeout_s)
        for process in alive:
            if process in ready:
                process.listen()
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        for request in self._control.requests() if self._control in ready else ():
            what, _, number = request.partition(" ")
            if what == "stop":
                self._asked = 0
            elif what == "scale":
                self._scale(int(number))
        if (count := self.wanted()) is not None:
            self._scale(count)

    def _scale(self, count: int) -> None:
        if self._asked != 0 and count != self.size:
            self._asked = count

    def _stop(self) -> None:
        self._asked = 0

    def _set(self, state: str, **more: Any) -> None:
        """Change the status and write it."""
        for name, value in {"state": state, **more}.items():
            setattr(self._status, name, value)
        self._status.write(self._home)
        log("cluster_state", state=state, nodes=self._status.nodes, failure=self._status.failure)


def _processes(count: int) -> str:
    return f"{count} process" if count == 1 else f"{count} processes"
