"""What the thread of a flow is at, and since when: a call that does not come back is the failure of its process.

A heart beats in a thread of its own, so that a step may wait for a broker; steps have time limits of their own. Where one of
them does not hold, in a library or a driver, nothing else would notice: the others of a cluster wait for its epoch without an
end. Who beats looks here too.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["CALL_S", "Underway"]

CALL_S = 180.0
"""Longer than whatever a step may wait for: a writer that starts reads back behind the open transaction of another for 90 s."""


class Underway:
    """The call that is under way.

    Parameters
    ----------
    now
        A clock in seconds that never goes back.

    Examples
    --------
    >>> clock = iter([0.0, 60.0, 181.0])
    >>> underway = Underway(now=lambda: next(clock))
    >>> underway.begin("sink.write_batch")
    >>> underway.overdue(), underway.overdue()
    (None, 'sink.write_batch has not come back for 180 s')
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._call: tuple[str, float] | None = None

    def begin(self, what: str) -> None:
        """Note that a call begins."""
        self._call = (what, self._now())

    def end(self) -> None:
        """Note that it has come back."""
        self._call = None

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Note that the block is such a call."""
        self.begin(what)
        try:
            yield
        finally:
            self.end()

    def overdue(self) -> str | None:
        """Say which call should have come back; None: there is none."""
        if (call := self._call) is None or self._now() - call[1] <= CALL_S:
            return None
        return f"{call[0]} has not come back for {CALL_S:g} s"
