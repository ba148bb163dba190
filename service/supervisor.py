"""Keeps the processes of a flow running: starts them together, watches, and starts again from the last snapshot.

    a process ends, or a stopped one misses its heartbeats    the others cannot go on: all are killed; start again
    one fails with a message that a restart cannot change     give up
    the last of many failures without progress                give up
    asked to scale                                            drain; start with the other number
    asked to stop                                             drain; what is left is in the recovery store
    all sources are at their end                              collect the results; clear the store

Spares, forked and assembled while the flow runs, wait for the next start: importing and loading would cost it seconds.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernels.errors import AuraError, ConfigError
from service.backoff import Backoff
from service.processes import BEAT_S, Process
from service.status import Control, Status
from service.worker import Work

__all__ = ["HANG_S", "Supervisor"]

HANG_S = 2.0
"""A process without a heartbeat for so long is dead."""
_MISSED = round(HANG_S / BEAT_S)
_RECOVERING_S = 0.01  # between two looks at how far it has come
_REASON_S = 0.5  # when one fails the others do; which was first shows in what they say


class _Failure(Exception):
    """A start that came to no end; `final` where another would not either."""

    def __init__(self, reason: str, hint: str = "", *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.hint, self.final = reason, hint, final


class _Drained(Exception):
    """The flow stopped where it was asked to."""


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
        Which numbers of them run here, and the addresses of all, given how many there are.
    tell
        Told what a person wants to know.
    shrink
        Whether it goes on with those that are left when one has died.
    grace_s
        How long a drain may take.
    """

    work: Work
    size: int
    place: Callable[[int], tuple[Sequence[int], list[str]]]
    tell: Callable[[str], None]
    shrink: bool = True
    grace_s: float = 10.0
    _status: Status = field(default_factory=Status)
    _spares: list[Process] = field(default_factory=list)
    _backoff: Backoff = field(default_factory=Backoff)
    _asked: int | None = None  # a number of processes to go on with; 0: stop
    _noticed_s: float | None = None  # when the last failure was, until it is made up for

    def run(self) -> dict[str, Any] | None:
        """Run until the sources are at their end; return what the collector said, or None if it was stopped before.

        Raises
        ------
        AuraError
            It does not run, and will not.
        """
        self._control = Control(self.work.store.directory)
        self._wakeup, wake = os.pipe()
        try:
            with _signals(wake, self._stop):
                found = self._until_end()
            self._set("stopped" if found is None else "ended")
        except AuraError as error:
            self._set("failed", failure=error.message)
            raise
        finally:
            _end(self._spares)
        return found

    def _until_end(self) -> dict[str, Any] | None:
        start_s = time.monotonic()
        while True:
            began_s = time.monotonic()
            try:
                account = self._start()
                return self._collect(account, time.monotonic() - start_s)
            except _Drained:
                if not self._asked:
                    return None
                self.size, self._asked = self._asked, None
            except _Failure as failure:
                self._make_good(failure, time.monotonic() - began_s)

    def _start(self) -> Tally:
        """Start the flow, and watch over it; return what became of the events at its end, where a sink tells."""
        numbers, addresses = self.place(self.size)
        team = self._muster(len(numbers))
        try:
            for number, process in zip(numbers, team, strict=True):
                process.order({"do": "run", "as": {"process": number, "addresses": addresses}})
            self._set("starting", nodes=len(team), wanted=self.size, processes=[p.pid for p in team])
            return self._watch(team)
        finally:
            _end(team)
            self._set("waiting", nodes=0, processes=[])

    def _muster(self, count: int) -> list[Process]:
        """Return so many processes that are ready to run: the spares first."""
        team = [spare for spare in self._spares if spare.died is None][:count]
        self._spares = [spare for spare in self._spares if spare not in team]
        team += [self._fork() for _ in range(count - len(team))]
        for process in team:
            self._assemble(process)
        try:
            while not all(process.has_said("ready") for process in team):
                self._wait(team, 1.0)
                if self._asked == 0:
                    raise _Drained
                _check(team)
        except BaseException:
            _end(team)
            raise
        return team

    def _watch(self, team: list[Process]) -> Tally:
        start, done, checked_s, end_s = self.work.store.progress(), False, time.monotonic(), None
        while not all(process.has_said("over") for process in team):
            self._wait(team, BEAT_S if done else _LOOK_S)
            _check(team)
            now_s = time.monotonic()
            if now_s - checked_s >= BEAT_S:
                checked_s = now_s
                _check_beats(team)
            if not done and self.work.store.progress() > start:
                done = True
                self._is_up(start)
            if self._asked is not None and end_s is None:
                end_s = now_s + self.grace_s
                self._drain(team)
            if end_s is not None and now_s > end_s:
                raise AuraError(
                    f"the processes have not come to a stop within {self.grace_s:g} s and were killed",
                    "Nothing is lost: the next start goes on from the last snapshot. Allow more with --grace",
                )
        words = [process.has_said("over") or {} for process in team]
        if not all(said["complete"] for said in words):
            raise _Drained
        account = Tally()
        for said in words:
            account.add(Tally(**said["account"]))
        return account

    def _is_up(self, start: int) -> None:
        """Note that the first epoch is done; prepare for the next start."""
        if self._noticed_s is not None:
            self._status.recovery_s, self._noticed_s = round(time.monotonic() - self._noticed_s, 3), None
            self.tell(
                f"{self._status.nodes} processes went on from epoch {start} in {self._status.recovery_s:.2f} s"
            )
        self._set("running", epoch=start)
        self._spares = [spare for spare in self._spares if spare.died is None]
        self._spares += [self._fork() for _ in range(self.size - len(self._spares))]
        if self.work.sink == "files":  # a sink of topics stops the writers before it as it is assembled
            for spare in self._spares:
                self._assemble(spare)

    def _drain(self, team: list[Process]) -> None:
        self._set("draining")
        for process in team:
            process.signal(signal.SIGTERM)

    def _make_good(self, failure: _Failure, up_s: float) -> None:
        """Get ready for another start, or raise what it failed with."""
        self._noticed_s = time.monotonic()
        wait_s = self._backoff.after_failure(up_s=up_s, progress=self.work.store.progress())
        if failure.final:
            raise ConfigError(failure.reason, failure.hint)
        if wait_s is None:
            raise AuraError(f"gave up after many starts without progress: {failure.reason}", failure.hint)
        if self.shrink:
            self.size = max(1, self.size - 1)
        self.tell(f"{failure.reason}; {self.size} processes go on" + (f" in {wait_s:g} s" if wait_s else ""))
        self._status.restarts += 1
        self._set("waiting", wanted=self.size, failure=failure.reason)
        while (left_s := self._noticed_s + wait_s - time.monotonic()) > 0 and self._asked is None:
            self._wait([], left_s)
        if self._asked:
            self.size, self._asked = self._asked, None

    def _collect(self, account: Tally, seconds: float) -> dict[str, Any]:
        (collector,) = self._muster(1)
        try:
            collector.order({"do": "collect", "as": {"seconds": seconds, "account": asdict(account)}})
            while (found := collector.has_said("over")) is None:
                self._wait([collector], 1.0)
                _check([collector])
        except _Failure as failure:
            raise AuraError(failure.reason, failure.hint) from None
        finally:
            _end([collector])
        return found
