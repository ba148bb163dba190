"""The request to stop: sources end without finishing their partitions, so nothing closes, and a later start goes on.

A process runs one flow, and the request comes to the process (SIGTERM): there is one for all its sources.
"""

from dataclasses import dataclass

__all__ = ["DRAIN", "Drain"]


@dataclass(slots=True)
class Drain:
    """Whether sources shall stop, and what that has cut short.

    Parameters
    ----------
    requested
        Sources shall stop before their next batch.
    cut_short
        Partitions that have stopped so, before their end.

    Examples
    --------
    >>> drain = Drain()
    >>> drain.check()
    >>> drain.request()
    >>> drain.check()
    Traceback (most recent call last):
    StopIteration
    >>> drain.cut_short
    1
    """

    requested: bool = False
    cut_short: int = 0

    def request(self) -> None:
        """Ask the sources to stop."""
        self.requested = True

    def reset(self) -> None:
        """Let a later start in this process run."""
        self.requested, self.cut_short = False, 0

    def check(self) -> None:
        """Raise StopIteration if the partition that asks shall stop here: its snapshot says where to go on."""
        if self.requested:
            self.cut_short += 1
            raise StopIteration


DRAIN = Drain()
"""That of this process."""
