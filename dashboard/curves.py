"""The curves of the page: a sample a second, of the last minutes."""

from collections import deque
from collections.abc import Iterable

__all__ = ["NAMES", "Curves", "Latency"]

NAMES = (
    "time_s",
    "events_per_s",
    "latency_ms",
    "lag_ms",
    "late",
    "dead_letters",
    "agents",
    "level",
    "emergence",
)
"""Of a sample: wall clock, then what is drawn; None where nothing says it."""
_KEPT = 600
_RATE_S = 5.0  # workers tell four times a second, each when it does: over less the rate would jump


class Curves:
    """Samples, the oldest first.

    Examples
    --------
    >>> curves = Curves()
    >>> curves.add(1, 0, {"agents": 5})
    >>> curves.add(3, 100, {"agents": 7})
    >>> [sample[:2] for sample in curves.since(1)]
    [(3, 50.0)]
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float | None, ...]] = deque(maxlen=_KEPT)
        self._before: deque[tuple[float, int]] = deque()

    def add(self, time_s: float, events_in: int, values: dict[str, float | None]) -> None:
        """Add a sample; the rate is that of the last seconds, unless the values have one."""
        while len(self._before) > 1 and time_s - self._before[0][0] > _RATE_S:
            self._before.popleft()
        rate = None
        if self._before and time_s > self._before[0][0]:
            since_s, before = self._before[0]
            # A worker that went on from a snapshot counts what it repeats once more: no rate below 0.
            rate = max(0.0, (events_in - before) / (time_s - since_s))
        self._before.append((time_s, events_in))
        known = {"events_per_s": rate} | values | {"time_s": time_s}
        self._samples.append(tuple(known.get(name) for name in NAMES))

    def since(self, time_s: float) -> list[tuple[float | None, ...]]:
        """Return the samples after a time."""
        return [sample for sample in self._samples if sample[0] is not None and sample[0] > time_s]


class Latency:
    """From the read of the event that closes a window to its results at the sink.

    A window closes when the last partition has reached its end and lateness: the time at which that happened, against
    the time at which a sink had the results. Both by the host's clock that never goes back, the same in all processes.

    Examples
    --------
    >>> latency = Latency()
    >>> latency.reach([(0, 100, 1.0), (1, 90, 1.1), (1, 110, 1.5)])
    >>> latency.close([(100, 1.75)])
    >>> latency.take_ms()
    250.0
    """

    def __init__(self) -> None:
        self._reached: dict[int, deque[tuple[int, float]]] = {}
        self._found: list[float] = []

    def reach(self, steps: Iterable[tuple[int, int, float]]) -> None:
        """Note that partitions have reached event times, each at a time."""
        for partition, watermark_us, at_s in steps:
            known = self._reached.setdefault(partition, deque(maxlen=4 * _KEPT))
            if known and watermark_us <= known[-1][0]:  # it went on from a snapshot
                known.clear()
            known.append((watermark_us, at_s))

    def close(self, closed: Iterable[tuple[int, float]]) -> None:
        """Note that results of windows that close at event times have reached a sink, each at a time."""
        for close_us, at_s in closed:
            reached = [self._first(known, close_us) for known in self._reached.values()]
            if reached and all(each is not None for each in reached):
                took_s = at_s - max(each for each in reached if each is not None)
                if took_s >= 0:
                    self._found.append(took_s)

    def take_ms(self) -> float | None:
        """Return the median of what was found since the last call."""
        found, self._found = sorted(self._found), []
        return round(found[len(found) // 2] * 1e3, 1) if found else None

    @staticmethod
    def _first(known: deque[tuple[int, float]], close_us: int) -> float | None:
        return next((at_s for watermark_us, at_s in known if watermark_us >= close_us), None)
