"""How long to wait before the next start, and when to give up.

after a healthy span     no wait; the count starts anew
the failure before was just now    0.1 s, and twice as long each time, at most 30 s
10 failures without an epoch done in between    no further start; those for which the flow is not to blame do not count
"""

from dataclasses import dataclass

__all__ = ["HEALTHY_S", "Backoff"]

HEALTHY_S = 5.0
"""A flow that has run for so long was well."""
_FIRST_S, _MOST_S = 0.1, 30.0
_TRIES = 10  # with the waits between them most of a minute: longer than a broker takes to start


@dataclass(slots=True)
class Backoff:
    """Failures so far.

    Examples
    --------
    >>> backoff = Backoff()
    >>> [backoff.after_failure(up_s=1.0, progress=epoch) for epoch in (7, 7, 7, 9)]
    [0.0, 0.1, 0.2, 0.4]
    >>> backoff.after_failure(up_s=60.0, progress=9)
    0.0
    """

    _row: int = 0
    _in_vain: int = 0
    _progress: int = -1

    def after_failure(self, *, up_s: float, progress: int, vain: bool = True) -> float | None:
        """Return the seconds to wait before the next start; None: it makes no sense any more.

        Parameters
        ----------
        up_s
            How long the flow had been running.
        progress
            The epoch it had come to.
        vain
            Whether the failure counts.
        """
        self._in_vain = (self._in_vain if progress == self._progress else 0) + vain
        self._progress = progress
        self._row = 1 if up_s >= HEALTHY_S else self._row + 1
        if self._in_vain >= _TRIES:
            return None
        return 0.0 if self._row == 1 else min(_FIRST_S * 2 ** (self._row - 2), _MOST_S)
