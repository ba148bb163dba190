"""Events a second as the cells tell it, for who sees results only: what windows counted, by when it was written."""

from collections import deque

__all__ = ["Throughput"]

_KEPT = 4_096  # (start, shard) whose revisions are told apart
_RATE_S = 10.0
_PATIENCE_S = 15.0  # longer than an epoch: what was written since the last commit is not to be seen yet


class Throughput:
    """Of one window, in which each event is counted so many times.

    Parameters
    ----------
    window
        Its name.
    times
        In how many windows of that name an event is: their length by their slide.

    Examples
    --------
    >>> throughput = Throughput("second", 1)
    >>> for second in range(10):
    ...     throughput.add(start_us=second, shard=0, count=50, at_s=second + 1.0)
    >>> throughput.add(start_us=9, shard=0, count=60, at_s=10.0)  # said again, with ten more
    >>> throughput.events, throughput.per_s(10.0), throughput.per_s(40.0)
    (510, 51.0, 0.0)
    """

    def __init__(self, window: str, times: float) -> None:
        self.window, self._times, self._counted = window, times, 0
        self._known: dict[tuple[int, int], int] = {}
        self._came: deque[tuple[float, int]] = deque()
        self._newest_s = 0.0

    @property
    def events(self) -> int:
        """Return how many events there are in all windows that were seen."""
        return round(self._counted / self._times)

    def add(self, start_us: int, shard: int, count: int, at_s: float) -> None:
        """Add what a shard counted in a window; said again, it takes the place of what it said before."""
        more = count - self._known.pop((start_us, shard), 0)
        self._known[start_us, shard] = count
        if len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        self._counted += more
        self._came.append((at_s, more))
        self._newest_s = max(self._newest_s, at_s)

    def per_s(self, now_s: float) -> float | None:
        """Return the events a second of the ten seconds up to the newest record, or up to now if that is old; None before any."""
        if not self._known:
            return None
        end_s = max(self._newest_s, now_s - _PATIENCE_S)
        while self._came and self._came[0][0] <= end_s - _RATE_S - 1e-9:
            self._came.popleft()
        return sum(more for _, more in self._came) / self._times / _RATE_S
