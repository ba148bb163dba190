"""Results that are taken back: a later revision of a (window, start, shard) of which no row is left.

An amended window goes out again as a whole. If the stages after the windows let none of its rows pass, there would be
nothing to say so with, and the rows of the revision before would stand. So a revision without rows is an output of its
own. Whether anything was published before is not known here; taking back what never stood changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from operators.cells import Cells
from operators.closing import Closed

__all__ = ["Withdrawn", "withdrawals"]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A (window, start, shard) that has no result rows as of `revision`."""

    shard: int
    window: str
    start_us: int
    revision: int


def withdrawals(closed: Closed, cells: Cells) -> Iterator[Withdrawn]:
    """Yield the amended windows of `closed` of which no row is left in `cells`, in the order of their starts."""
    amended = closed.revision > 0
    if not amended.any():
        return
    left = set(cells.columns["start_us"].tolist())
    pairs = zip(closed.start_us[amended].tolist(), closed.revision[amended].tolist(), strict=True)
    for start_us, revision in sorted({pair for pair in pairs if pair[0] not in left}):
        yield Withdrawn(closed.shard, closed.window, start_us, revision)
