"""What a process uses, held against the limits of the configuration at every monitoring interval.

    agents    of the fullest of its partitions, against that partition's share of `limits.agents`; at the limit, events of
              further agents go to the dead letters (`operators.ingest`)
    memory    of this process, against `limits.memory_gib`, or what the container or the machine has if that is less

Above `monitoring.alert_at` of a limit somebody is told, once until it has fallen below again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from flows.assemble import Assembled
from flows.settings.root import Settings
from service.observe.metrics import memory_limit_bytes
from service.repeat import repeated

__all__ = ["Limit", "Limits", "limits_of", "watched_limits"]


@dataclass
class Limit:
    """One limit, and what is known of its use.

    Parameters
    ----------
    name
        What is used.
    most
        How much of it there may be.
    use
        Returns how much there is now.
    peak
        The greatest share of `most` that was seen.
    alerts
        How often somebody was told.
    """

    name: str
    most: float
    use: Callable[[], float]
    peak: float = 0.0
    alerts: int = 0
    above: bool = False

    def look(self, alert_at: float) -> str | None:
        """Look at the use; return what to say if it has come above `alert_at` of the limit."""
        use = self.use()
        share = use / self.most
        risen = share > alert_at and not self.above
        self.peak, self.above = max(self.peak, share), share > alert_at
        if not risen:
            return None
        self.alerts += 1
        return f"alert: {self.name} at {share:.0%} of its limit: {use:,.6g} of {self.most:,.6g}"


class Limits:
    """The limits of a process.

    Parameters
    ----------
    limits
        Each of them.
    alert_at
        The share of a limit above which `tell` is called.
    tell
        Takes the words of an alert.
    """

    def __init__(self, limits: list[Limit], *, alert_at: float, tell: Callable[[str], object]) -> None:
        self._limits, self._alert_at, self._tell = limits, alert_at, tell

    def look(self) -> None:
        """Look at every use once."""
        for limit in self._limits:
            if words := limit.look(self._alert_at):
                self._tell(words)

    def summary(self) -> dict[str, Any]:
        """Return each limit, the peak of its use as a share, and the number of alerts."""
        return {
            limit.name: {"limit": limit.most, "peak": round(limit.peak, 4), "alerts": limit.alerts}
            for limit in self._limits
        }


def limits_of(settings: Settings, made: Assembled) -> list[Limit]:
    """Return the limits that a process of the assembled flow is held against."""
    process, ingest = psutil.Process(), made.plan.ingest
    gib = memory_limit_bytes(settings.limits.memory_gib) / 2**30
    limits = [Limit("memory_gib", gib, lambda: process.memory_info().rss / 2**30)]
    if ingest.most_agents is not None:
        most = Limit("agents", ingest.most_agents, lambda: max([*ingest.known.values()], default=0))
        limits.append(most)
    return limits


@contextmanager
def watched_limits(settings: Settings, made: Assembled, tell: Callable[[str], object]) -> Iterator[Limits]:
    """Look at the limits at every monitoring interval while the block runs, and once at its end."""
    monitoring = settings.monitoring
    limits = Limits(limits_of(settings, made), alert_at=monitoring.alert_at, tell=tell)
    with repeated(monitoring.interval_ms / 1000, limits.look):
        yield limits
    limits.look()
