"""Cells of few agents say something of each of them: a (window, cell) with fewer than k distinct agents is no statistic.

It is counted, or not published at all: neither its row nor an alert about it. What is withheld depends on the distinct
agents of the cell alone. A window that could go out again would reveal by the difference what was added, so where this is
enforced the configuration has no idle partitions, and every window goes out once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.cells import Cells
from operators.result import Result
from operators.violation import no_violation, violation

__all__ = ["Privacy"]


@dataclass(frozen=True)
class Privacy:
    """The least number of distinct agents of a published cell.

    Parameters
    ----------
    k
        That number.
    enforce
        Whether smaller cells are withheld; else they are reported.
    """

    k: int
    enforce: bool

    def apply(self, cells: Cells, agents: NDArray[np.int64]) -> tuple[Cells, list[Result]]:
        """Return what may be published of R rows, and what is to be reported.

        Parameters
        ----------
        cells
            Rows of one window.
        agents
            (R,) distinct agents of each.
        """
        small = agents < self.k
        if not self.enforce:
            return cells, list(self._report(cells, small))
        kept = {name: values[~small] for name, values in cells.columns.items()}
        return Cells(cells.shard, kept, cells.windows), []

    def _report(self, cells: Cells, small: NDArray[np.bool_]) -> Iterator[Result]:
        """Yield how many cells of each (window, start, shard) are too small; of an amended one also if none is."""
        spoken = np.flatnonzero(small | (cells.columns["revision"] > 0))
        if not len(spoken):
            return
        window = cells.windows[int(cells.columns["window"][0])]
        starts, first = np.unique(cells.columns["start_us"][spoken], return_index=True)
        for start_us, at in zip(starts.tolist(), spoken[first].tolist(), strict=True):
            count = int(np.count_nonzero(small & (cells.columns["start_us"] == start_us)))
            about, revision = f"{window}/{start_us}/{cells.shard}/privacy", int(cells.columns["revision"][at])
            if not count:
                yield no_violation(about, revision)
                continue
            yield violation(
                about, revision,
                time_us=int(cells.columns["end_us"][at]), invariant="privacy_preservation", subject=window,
                what=str(cells.shard), value=count, bound=self.k, reason=f"{count} cells of fewer than {self.k} agents",
                partition=-1, offset=-1, row=-1,
            )  # fmt: skip
