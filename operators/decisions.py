"""Decisions: what does not follow from the events, written down before it takes effect, so that it can be obeyed again.

    a decision     from a border of event time on: the degradation level, and the share of the work of the fast path; or
                   which model has a name (a swap)
    a border       a multiple of the least slide of the windows
    who may decide a border is passed by the first source partition that comes to it, and from then on nothing before the
                   next border can be decided. So everybody who works on an event or a window finds the same decisions,
                   in whatever process, and however often it is done again

The log is a file that processes share, a line a decision, on disk before the decision counts. With the log a replay does
what was done; without, it does everything. A later line about the same border replaces the earlier one. A line without its end
is what a crash has cut short: it was not decided, and whoever writes next cuts it off.
"""

import fcntl
import json
import logging
import os
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.errors import AuraError
from kernels.lateness import END_US, START_US

__all__ = ["FILE", "Decision", "DecisionLog", "Schedule", "Swap", "decode", "encode", "kind_of"]

FILE = "decisions.jsonl"
"""Name of the log."""
_VERSION = 1
_REACHED_BYTES = 8
_FRESH_S = 10.0  # a process that has said nothing for so long has ended
_log = logging.getLogger(__name__)


class Decision(NamedTuple):
    """What holds from `from_us` on: the level 0 to 4, the fast path's share in per cent, and why."""

    from_us: int
    level: int
    share: int = 100
    reason: str = ""


class Swap(NamedTuple):
    """From `from_us` on the model `name` of the configuration is the one with this hash."""

    from_us: int
    name: str
    sha256: str


FULL = Decision(START_US, 0)


class Schedule:
    """Decisions in their order: a function of event time.

    Examples
    --------
    >>> schedule = Schedule([Decision(100, 2), Decision(300, 0)])
    >>> schedule.at(99).level, schedule.at(100).level, schedule.worst(0, 100), schedule.worst(0, 101)
    (0, 2, 0, 2)
    """

    def __init__(self, decisions: Sequence[Decision | Swap] = ()) -> None:
        levels = [each for each in decisions if isinstance(each, Decision)]
        self.swaps = [each for each in decisions if isinstance(each, Swap)]
        latest = {decision.from_us: decision for decision in (FULL, *levels)}
        self._decisions = [latest[from_us] for from_us in sorted(latest)]
        self._from_us = [decision.from_us for decision in self._decisions]
        self._levels = np.array([decision.level for decision in self._decisions], np.uint8)

    def __len__(self) -> int:
        return len(self._decisions) - 1

    @property
    def decisions(self) -> list[Decision]:
        """All levels and shares, in the order of event time."""
        return self._decisions[1:]

    def models(self, name: str) -> dict[int, str]:
        """Return the hashes that a name has had, by the time from which on, in order; empty if it was never swapped."""
        found = {swap.from_us: swap.sha256 for swap in self.swaps if swap.name == name}
        return dict(sorted(found.items()))

    def at(self, time_us: int) -> Decision:
        """Return what holds at a time."""
        return self._decisions[bisect_right(self._from_us, time_us) - 1]

    def levels(self, time_us: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the (N,) level at each of (N,) times."""
        return self._levels[np.searchsorted(self._from_us, time_us, "right") - 1]

    def worst(self, start_us: int, end_us: int) -> int:
        """Return the highest level in start_us <= time < end_us."""
        first, last = bisect_right(self._from_us, start_us) - 1, bisect_right(self._from_us, end_us - 1)
        return int(self._levels[first:last].max())

    def least(self, start_us: int, end_us: int) -> int:
        """Return the lowest level there."""
        first, last = bisect_right(self._from_us, start_us) - 1, bisect_right(self._from_us, end_us - 1)
        return int(self._levels[first:last].min())


class DecisionLog:
    """The decisions of a run.

    Parameters
    ----------
    path
        Of the file; it is made when it is needed.
    border_us
        Distance of the borders.
    obeyed
        The log of another run, which this one repeats: nothing new is decided.
    """

    def __init__(self, path: Path, border_us: int, *, obeyed: bool = False) -> None:
        self.path, self.border_us, self.obeyed = path, border_us, obeyed
        self._read_at, self._schedule = (-1, -1), Schedule()

    @property
    def schedule(self) -> Schedule:
        """What has been decided so far, by whatever process."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return self._schedule
        # Not by the size alone: a line that was cut off may have been as long as the one in its place.
        if (read_at := (found.st_size, found.st_mtime_ns)) != self._read_at:
            self._schedule, self._read_at = Schedule(_read(self.path)), read_at
        return self._schedule

    def cross(self, time_us: int) -> tuple[Schedule, int]:
        """Pass the borders up to a time; return what holds there, and the border that is to be passed next."""
        at_us = time_us // self.border_us * self.border_us
        if not self.obeyed:
            with self._locked() as reached:
                reached.write(max(at_us, reached.read()))
                return self.schedule, at_us + self.border_us
        return self.schedule, at_us + self.border_us

    def propose(self, who: str, level: int, share: int, reason: str) -> Decision | None:
        """Say what a process wants; return the decision if what all of them want together is a new one.

        The highest level and the least share count, of those who have said so in the last seconds. What is decided holds
        from the next border on.
        """
        if self.obeyed:
            return None
        with self._locked() as reached:
            level, share = self._together(who, level, share)
            at_us, last = reached.read(), (self.schedule.decisions or [FULL])[-1]
            if at_us >= END_US - self.border_us or (level, share) == (last.level, last.share):
                return None
            decision = Decision(max(at_us + self.border_us, last.from_us), level, share, reason)
            self._append(decision)
            return decision

    def swap(self, name: str, before: str, after: str) -> Swap | None:
        """Let a model take the place of the one that has a name; None where the run is at its end.

        With the first swap of a name it is written down which model the run began with, so that the log says all.
        """
        with self._locked() as reached:
            at_us, known = reached.read(), self.schedule.models(name)
            if at_us >= END_US - self.border_us:
                return None
            swap = Swap(max(at_us + self.border_us, *known, START_US), name, after)
            self._append(*([] if known else [Swap(START_US, name, before)]), swap)
            return swap

    def _append(self, *decisions: Decision | Swap) -> None:
        """Write lines; the lock is held, so that a line without an end is of nobody who still writes."""
        with self.path.open("a+b") as file:
            self._cut_torn(file)
            file.write(b"".join(encode(each) + b"\n" for each in decisions))
            file.flush()
            os.fsync(file.fileno())

    def _cut_torn(self, file: BinaryIO) -> None:
        file.seek(0)
        whole, _, torn = file.read().rpartition(b"\n")
        if torn:
            file.truncate(len(whole) + 1 if whole else 0)
            _log.warning(
                "%s: its last line was cut short by a crash, %d bytes; it is dropped", self.path, len(torn)
            )

    def _together(self, who: str, level: int, share: int) -> tuple[int, int]:
        path, now_s = self.path.with_suffix(".wanted"), time.time()
        wanted: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}
        wanted = {name: each for name, each in wanted.items() if now_s - each[2] < _FRESH_S}
        wanted[who] = [level, share, now_s]
        temporary = path.with_suffix(".wanting")
        temporary.write_text(json.dumps(wanted))
        temporary.replace(path)  # whole, whatever becomes of this process
        return int(max(each[0] for each in wanted.values())), int(min(each[1] for each in wanted.values()))

    @contextmanager
    def _locked(self) -> "Iterator[_Reached]":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path.with_suffix(".reached"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield _Reached(file)
        finally:
            os.close(file)


class _Reached:
    """The last border that somebody has passed, in a file that is locked."""

    def __init__(self, file: int) -> None:
        self._file = file

    def read(self) -> int:
        data = os.pread(self._file, _REACHED_BYTES, 0)
        return int.from_bytes(data, "little", signed=True) if len(data) == _REACHED_BYTES else START_US

    def write(self, reached_us: int) -> None:
        os.pwrite(self._file, reached_us.to_bytes(_REACHED_BYTES, "little", signed=True), 0)


def encode(decision: Decision | Swap) -> bytes:
    """Return a decision as JSON: a line of the log, the value of a record in aura.control."""
    return json.dumps({"v": _VERSION, "kind": kind_of(decision), **decision._asdict()}).encode()


def kind_of(decision: Decision | Swap) -> str:
    """Return `level` or `model`."""
    return "model" if isinstance(decision, Swap) else "level"


def decode(line: bytes) -> Decision | Swap:
    """Return the decision of a line.

    Raises
    ------
    AuraError
        It is none, or of a version that is not known.
    """
    try:
        found = json.loads(line)
        if found.pop("v") != _VERSION:
            raise ValueError(f"version of {line[:80]!r}")
        return _KINDS[found.pop("kind")](**found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AuraError(
            f"not a decision: {error!r:.120}", "Take the log of the run that is to be repeated"
        ) from error


_KINDS: dict[str, type[Decision | Swap]] = {"level": Decision, "model": Swap}


def _read(path: Path) -> list[Decision | Swap]:
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    return [decode(line) for line in lines[:-1]]  # what has no end of line has not been decided
