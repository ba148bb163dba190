"""Which agents were in which cell of the windows that close, each once."""

import numpy as np
from numpy.typing import NDArray

from kernels.panes import Window
from kernels.table import count_of, distinct_pairs, windows_of
from operators.pane_store import PaneStore

__all__ = ["Members"]


class Members:
    """The distinct (window and cell, agent) pairs of the windows that close.

    Parameters
    ----------
    store, window, cells
        Panes, of which window, over how many cells.
    low, high
        The panes low <= pane < high of the windows.
    """

    def __init__(self, store: PaneStore, window: Window, low: int, high: int, cells: int) -> None:
        self._key, self._agent_id = store.pairs(low, high)
        panes, slide = window.length_us // window.pane_us, window.slide_us // window.pane_us
        if not panes == slide == 1:
            rows, key = windows_of(self._key, cells=cells, panes=panes, slide_panes=slide)
            self._key, self._agent_id = distinct_pairs(key, self._agent_id[rows])

    def count(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of agents of each of the sorted keys `window * cells + rank`."""
        return count_of(self._key, wanted)

    def of(self, wanted: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """Return the agents of the sorted, distinct keys: (M,) which of the keys each belongs to, and its id."""
        at = np.searchsorted(wanted, self._key)
        inside = np.flatnonzero(wanted.take(at, mode="clip") == self._key) if len(wanted) else at[:0]
        return at[inside], self._agent_id[inside]
