"""The processes of one start, looked at together: whether all go on, and if not, which failed first and why."""

import select
import signal
import time
from collections.abc import Sequence
from typing import Any

from kernels.errors import AuraError, AwayError, ConfigError, LostError
from service.cluster.processes import BEAT_S, KILLED, Process
from service.recovery.store import Store

__all__ = ["HANG_S", "STALL_S", "Failure", "Progress", "check", "check_beats", "end", "kind_of"]

HANG_S = 2.0
"""A process without a heartbeat for so long is dead."""
STALL_S = 300.0
"""A team that has done no epoch for so long, beside the time that an epoch takes, comes to none: longer than any call may take."""
_PROGRESS_S = 5.0  # between two looks at the store
_REASON_S = 0.5  # when one fails the others do too, and the reason may come last: so long they are heard


class Failure(Exception):
    """A start that came to no end.

    Parameters
    ----------
    reason, hint
        For the user.
    kind
        `died`: a process has ended from outside, or hangs. `failed`: a step has. `away`: what it runs on does not answer.
        `config`, `lost`: no other start would come to an end either.
    """

    def __init__(self, reason: str, hint: str = "", *, kind: str = "died") -> None:
        super().__init__(reason)
        self.reason, self.hint, self.kind = reason, hint, kind
        self.at_s = time.monotonic()


def kind_of(error: AuraError) -> str:
    """Return the kind of failure that an error is, or that it wraps: a step puts its name before what it raises."""
    kinds = {ConfigError: "config", LostError: "lost", AwayError: "away"}
    found = next((kind for known, kind in kinds.items() if isinstance(error, known)), None)
    if found is None and isinstance(error.__cause__, AuraError):
        return kind_of(error.__cause__)
    return found or "failed"


def check(team: Sequence[Process]) -> None:
    """Raise the Failure of a process that has ended too early: of several the one that is the reason for the rest."""
    if any(_has_failed(process) for process in team):
        _hear_all(team)
        raise _reason(team)


def check_beats(team: Sequence[Process]) -> None:
    """Raise if a process has not beaten for HANG_S; to be called every BEAT_S."""
    for process in team:
        # Counted in looks and not in seconds: when the whole machine sleeps, nobody hangs.
        if process.check() >= round(HANG_S / BEAT_S):
            raise Failure(f"{process.name} has hung for {HANG_S:g} s")


class Progress:
    """The epochs of a team: they are done one after the other, or nobody knows what it waits for.

    Parameters
    ----------
    store
        Where the engine says which epoch it is in.
    now_s
        A moment of the clock that `check` is given.
    """

    def __init__(self, store: Store, now_s: float) -> None:
        self._store, self._limit_s = store, STALL_S + store.epoch.total_seconds()
        self._epoch, self._moved_s, self._looked_s = 0, now_s, now_s

    def check(self, now_s: float) -> None:
        """Raise the Failure of a team that comes to no next epoch."""
        if now_s - self._looked_s < _PROGRESS_S:
            return
        self._looked_s, epoch = now_s, self._store.progress()
        if epoch not in (0, self._epoch):  # 0: it cannot be told just now
            self._epoch, self._moved_s = epoch, now_s
        if now_s - self._moved_s > self._limit_s:
            raise Failure(f"no epoch was done for {self._limit_s:g} s", kind="failed")


def end(team: Sequence[Process]) -> None:
    """End all of them at once."""
    for process in team:
        process.signal(signal.SIGKILL)
    for process in team:
        process.kill()


def _has_failed(process: Process) -> bool:
    return process.has_said("failed") is not None or (
        process.died is not None and not process.has_said("over")
    )


def _hear_all(team: Sequence[Process]) -> None:
    """Hear all until one names the reason, or was killed, or they have no more to say."""
    until_s = time.monotonic() + _REASON_S
    while _killed(team) is None and _words(team)["rank"] == 0 and (left_s := until_s - time.monotonic()) > 0:
        alive = [process for process in team if process.died is None]
        if not alive:
            return
        for process in select.select(alive, [], [], left_s)[0]:
            process.listen()


def _killed(team: Sequence[Process]) -> Process | None:
    """Return one that was ended from outside: none of the others, whose panics may come first, has anything to add."""
    return next((process for process in team if process.died == KILLED), None)


def _words(team: Sequence[Process]) -> dict[str, Any]:
    """Return the words of the highest rank about a failure."""
    failed = [words for process in team for words in process.said if words["say"] == "failed"]
    died = [f"{process.name} {process.died}" for process in team if process.died is not None]
    failed.append({"rank": 0, "message": ", ".join(died), "hint": "", "kind": "died"})
    return max(failed, key=lambda words: words["rank"])


def _reason(team: Sequence[Process]) -> Failure:
    if (killed := _killed(team)) is not None:
        return Failure(f"{killed.name} was {killed.died}")
    words = _words(team)
    return Failure(words["message"], words["hint"], kind=words["kind"])
