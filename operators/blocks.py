"""The panes of one shard that are arrays over all its cells, and sums of neighbours for windows of many panes.

A sum is made when a window first needs it and dropped when one of its panes changes, so it is never out of date.
"""

from itertools import groupby
from typing import Any

from kernels.accumulate import accumulate
from kernels.aggregate import Layout
from kernels.narrow import narrow, widen
from operators.pieces import Block, Rows

__all__ = ["Blocks"]

_SUM_PANES = (
    8  # a sliding window of 60 panes then adds about 14 blocks instead of 60, for an eighth more memory
)


class Blocks:
    """Blocks by pane.

    Parameters
    ----------
    ranks
        Those of the shard.
    layout
        The statistics.
    """

    def __init__(self, ranks: slice, layout: Layout) -> None:
        self._first, self._size, self._layout = ranks.start, ranks.stop - ranks.start, layout
        self._blocks: dict[int, Block] = {}
        self._sums: dict[int, Block] = {}

    def __contains__(self, pane: int) -> bool:
        return pane in self._blocks

    def add(self, pane: int, block: Block) -> None:
        """Add `block` to a pane of another number than its own, if panes are longer here."""
        into = self._blocks.get(pane)
        if into is None:
            self._blocks[pane] = block.copy()._replace(pane=pane)
        else:
            into.add(block)
        self._sums.pop(pane // _SUM_PANES, None)

    def add_rows(self, rows: Rows) -> None:
        """Add events to their pane."""
        into = self._blocks.get(rows.pane)
        if into is None:
            into = self._blocks[rows.pane] = Block(rows.pane, self._first, *self._layout.empty(self._size))
        accumulate(into.ints, into.floats, rows.cell, rows.values, self._layout)
        self._sums.pop(rows.pane // _SUM_PANES, None)

    def panes(self, low: int, high: int) -> list[int]:
        """Return the panes low <= pane < high that stand here."""
        return sorted(pane for pane in self._blocks if low <= pane < high)

    def total(self, low: int, high: int) -> Block:
        """Return the sum of panes low <= pane < high, of which one stands here at least; not to be changed."""
        parts: list[Block] = []
        for number, members in groupby(self.panes(low, high), key=lambda pane: pane // _SUM_PANES):
            own = [self._blocks[pane] for pane in members]
            whole = low <= number * _SUM_PANES and (number + 1) * _SUM_PANES <= high
            parts += [self._sum(number, own)] if whole and len(own) > 1 else own
        return _added(parts)

    def drop(self, below: int) -> None:
        """Forget the panes below a number."""
        self._blocks = {p: b for p, b in self._blocks.items() if p >= below}
        self._sums = {n: b for n, b in self._sums.items() if n * _SUM_PANES >= below}

    def snapshot(self) -> list[list[Any]]:
        """Return the state as plain data."""
        return [[pane, narrow(block.ints), block.floats] for pane, block in self._blocks.items()]

    def restore(self, state: list[list[Any]]) -> None:
        """Take the state that `snapshot` returned."""
        self._blocks = {
            pane: Block(pane, self._first, widen(ints, self._size), floats) for pane, ints, floats in state
        }
        self._sums = {}

    def _sum(self, number: int, own: list[Block]) -> Block:
        if number not in self._sums:
            self._sums[number] = _added(own)
        return self._sums[number]


def _added(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    total = blocks[0].copy()
    for block in blocks[1:]:
        total.add(block)
    return total
