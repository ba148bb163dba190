"""A path that has failed comes back by degrees: a share of the work goes to it, and it is watched.

    lost        wait: 1 s, twice as long with each attempt, up to 60 s, each a little longer or shorter by chance
    a step      10, 25, 50, 75, 100 % of the work; the first lasts 60 s, each further one 30 s
    goes on     when fewer than 1 % of the calls of a step were errors: exceptions, or results that the fallback does not give
    fails       as soon as a step has 1 % or more of errors: back by 25 points and held there, and the step is tried again
                after the wait, which doubles; at 10 % back to the fallback
    gives up    after five attempts in a row that have failed at 10 %: only whoever runs it can start it again

The clock and the chance come as arguments, so that a test drives them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random

__all__ = ["ATTEMPTS", "SHARES", "Backoff", "Canary", "Phase"]

SHARES = (10, 25, 50, 75, 100)
"""Per cent of the work, step by step."""
ATTEMPTS = 5
"""So many in a row; then it stays with the fallback."""
_FIRST_WATCH_S, _WATCH_S = 60.0, 30.0
_ERRORS = 0.01
_BACK = 25  # points
_LEAST_CALLS = 20  # below it one error is not yet a rate: a step neither fails nor goes on


@dataclass
class Backoff:
    """Seconds to wait: they double from `first_s` up to `most_s`, give or take a fifth by chance."""

    first_s: float = 1.0
    most_s: float = 60.0
    chance: Callable[[], float] = field(default_factory=lambda: Random().random)
    _row: int = 0

    def next_s(self) -> float:
        """Return the next wait.

        >>> backoff = Backoff(chance=lambda: 0.5)
        >>> [backoff.next_s() for _ in range(8)]
        [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
        """
        wait_s: float = min(self.first_s * 2**self._row, self.most_s)
        self._row += 1
        return min(wait_s * (0.8 + 0.4 * self.chance()), self.most_s)

    def reset(self) -> None:
        """Begin anew."""
        self._row = 0


class Phase(Enum):
    """Where a path stands."""

    WELL = "well"
    WAITING = "waiting"  # with the share that it has
    WATCHED = "watched"
    OPEN = "open"  # given up


@dataclass
class Canary:
    """The share of one path, in per cent.

    Parameters
    ----------
    backoff
        The waits.

    Examples
    --------
    >>> canary = Canary(Backoff(chance=lambda: 0.5))
    >>> canary.lose(0.0)
    >>> canary.share, canary.phase.value
    (0, 'waiting')
    >>> canary.tick(1.0)
    True
    >>> canary.share
    10
    """

    backoff: Backoff = field(default_factory=Backoff)
    phase: Phase = Phase.WELL
    share: int = 100
    _target: int = 0  # the step that is watched, or is tried next
    _until_s: float = 0.0
    _attempts: int = 0
    _calls: int = 0
    _errors: int = 0

    def lose(self, now_s: float) -> None:
        """Note that the path has failed altogether: nothing goes there any more."""
        if self.phase is not Phase.OPEN:
            self._wait(now_s, share=0, target=SHARES[0])

    def report(self, now_s: float, *, calls: int, errors: int) -> bool:
        """Note calls of the path, and how many of them were errors; return whether the share has changed."""
        if self.phase is not Phase.WATCHED:
            return False
        self._calls += calls
        self._errors += errors
        if self._calls < _LEAST_CALLS or self._errors < _ERRORS * self._calls:
            return False
        self.fail(now_s)
        return True

    def fail(self, now_s: float) -> None:
        """Note that the step which is watched has failed."""
        failed, back = self._target, max(0, self._target - _BACK)
        self._wait(now_s, share=0 if failed == SHARES[0] else back, target=failed)

    def tick(self, now_s: float) -> bool:
        """Let time pass; return whether the share has changed."""
        if self.phase not in (Phase.WAITING, Phase.WATCHED) or now_s < self._until_s:
            return False
        if self.phase is Phase.WAITING:
            self._try(now_s, self._target)
        elif self._calls < _LEAST_CALLS:
            return False  # nothing has come that could be judged
        elif self._target == SHARES[-1]:
            self.phase, self._attempts = Phase.WELL, 0
            self.backoff.reset()
            return False
        else:
            self._attempts = 0
            self._try(now_s, next(share for share in SHARES if share > self._target))
        return True

    def _try(self, now_s: float, share: int) -> None:
        self.phase, self.share, self._target = Phase.WATCHED, share, share
        self._until_s = now_s + (_FIRST_WATCH_S if share == SHARES[0] else _WATCH_S)
        self._calls = self._errors = 0

    def _wait(self, now_s: float, *, share: int, target: int) -> None:
        self.share, self._target = share, target
        self._attempts += share == 0
        if self._attempts > ATTEMPTS:
            self.phase = Phase.OPEN
            return
        self.phase, self._until_s = Phase.WAITING, now_s + self.backoff.next_s()
