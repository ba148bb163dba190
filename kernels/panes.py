"""Windows over event time, cut into panes: the shortest stretches that every window is a whole number of.

A window of `length` that starts every `slide` covers [k * slide, k * slide + length). Its pane is gcd(length, slide),
so each event is added to one pane, and a sliding window costs an addition per pane, not one per window and event.
"""

import math
from dataclasses import dataclass

__all__ = ["Window", "base_pane_us"]


@dataclass(frozen=True, slots=True)
class Window:
    """A named window over event time.

    Parameters
    ----------
    name
        As configured.
    length_us, slide_us
        Length and distance of the starts, microseconds; equal for a tumbling window.
    lateness_us
        How far an event may lie behind its partition's running maximum and still be counted.
    agents
        Whether distinct agents are counted.

    Examples
    --------
    >>> w = Window("w", length_us=60, slide_us=20, lateness_us=0)
    >>> w.pane_us, list(w.starts(2)), list(w.panes(20))
    (20, [0, 20, 40], [1, 2, 3])
    """

    name: str
    length_us: int
    slide_us: int
    lateness_us: int
    agents: bool = False

    @property
    def pane_us(self) -> int:
        """Length of a pane, microseconds."""
        return math.gcd(self.length_us, self.slide_us)

    def starts(self, pane: int) -> range:
        """Return the starts, microseconds, of the windows that contain pane number `pane`."""
        time_us = pane * self.pane_us
        first = -((self.length_us - self.pane_us - time_us) // self.slide_us) * self.slide_us
        return range(first, time_us + 1, self.slide_us)

    def panes(self, start_us: int) -> range:
        """Return the pane numbers of the window that starts at `start_us`."""
        first = start_us // self.pane_us
        return range(first, first + self.length_us // self.pane_us)

    def closes_us(self, start_us: int) -> int:
        """Return the watermark at which the window that starts at `start_us` is complete."""
        return start_us + self.length_us + self.lateness_us


def base_pane_us(windows: list[Window]) -> int:
    """Return the longest pane that every pane of `windows` is a whole number of."""
    return math.gcd(*(w.pane_us for w in windows))
