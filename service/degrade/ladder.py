"""The ladder of degradation: which level the measured signals ask for, without flapping.

    rise    at once, as far as the signals ask: a signal asks for a level when it is above its threshold for that level
    fall    one level at a time, when for `stay_s` no signal has asked for more than the level below; while on a level,
            a signal must come down to `calm` of a threshold to ask for less

So a signal that swings around a threshold changes nothing, and the level falls at most once in `stay_s`.

    none        everything
    minor       what is optional is left out: per-agent results; fields at a quarter of their rate
    major       models on numpy; one agent in ten, counts scaled and marked as estimates
    critical    windows and alerts only
    emergency   the state is saved, events go into the archive unread
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf
from typing import NamedTuple

__all__ = ["Change", "Ladder", "Level"]


class Level(IntEnum):
    """A rung."""

    NONE = 0
    MINOR = 1
    MAJOR = 2
    CRITICAL = 3
    EMERGENCY = 4


class Change(NamedTuple):
    """The level changes, because of what."""

    level: Level
    reason: str


@dataclass
class Ladder:
    """The level of one process.

    Parameters
    ----------
    thresholds
        Of each signal for minor, major, critical and emergency; infinity where it never asks for that.
    stay_s
        Least time on a level before it falls.
    calm
        Share of a threshold that a signal must come down to.

    Examples
    --------
    >>> ladder = Ladder({"latency_s": (1, 5, 30, inf)}, stay_s=30)
    >>> ladder.observe(0, {"latency_s": 7.0})
    Change(level=<Level.MAJOR: 2>, reason='latency_s is 7, above 5')
    >>> [ladder.observe(now_s, {"latency_s": 0.1}) for now_s in (1, 30)]
    [None, None]
    >>> ladder.observe(31, {"latency_s": 0.1}).level
    <Level.MINOR: 1>
    """

    thresholds: Mapping[str, tuple[float, float, float, float]]
    stay_s: float = 30.0
    calm: float = 0.8
    level: Level = Level.NONE
    _calm_since_s: float | None = field(default=None, init=False)

    def observe(self, now_s: float, signals: Mapping[str, float]) -> Change | None:
        """Take in the signals of a moment; return the change that they make, if any.

        Parameters
        ----------
        now_s
            A clock that never goes back.
        signals
            By name; those without thresholds do not count, and those that are missing ask for nothing.
        """
        asked = {name: self._asks(name, value) for name, value in signals.items() if name in self.thresholds}
        worst = max(asked, key=lambda name: asked[name], default="")
        wanted = asked.get(worst, Level.NONE)
        if wanted > self.level:
            threshold = self.thresholds[worst][wanted - 1]
            return self._move(wanted, f"{worst} is {signals[worst]:.4g}, above {threshold:.4g}")
        if wanted == self.level:
            self._calm_since_s = None
            return None
        if self._calm_since_s is None:
            self._calm_since_s = now_s
        if now_s - self._calm_since_s < self.stay_s:
            return None
        return self._move(Level(self.level - 1), f"calm for {now_s - self._calm_since_s:.4g} s")

    def _asks(self, name: str, value: float) -> Level:
        """Return the level that a signal asks for: to keep one that is reached, less is enough."""
        found = Level.NONE
        for level, threshold in zip(list(Level)[1:], self.thresholds[name], strict=True):
            if value > threshold * (self.calm if level <= self.level and threshold < inf else 1):
                found = level
        return found

    def _move(self, level: Level, reason: str) -> Change:
        self.level, self._calm_since_s = level, None
        return Change(level, reason)
