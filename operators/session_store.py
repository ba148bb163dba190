"""The sessions of one window and partition that are not final: joined ones, and fragments as they come."""

from typing import Any

import numpy as np

from kernels.fragments import Fragments, join, published
from kernels.lateness import END_US, START_US
from kernels.sessions import SessionWindow

__all__ = ["SessionStore"]

_RUN_ROWS = 4096  # fragments worth a join: below it, joining more often costs more than the longer join


class SessionStore:
    """The sessions of one window and partition.

    Parameters
    ----------
    window
        The session window.
    shape
        Rows of the `ints` and of the `floats`.
    """

    def __init__(self, window: SessionWindow, shape: tuple[int, int]) -> None:
        self._window = window
        self._rows = self._withdrawn = Fragments.empty(*shape)
        self._runs: list[Fragments] = []
        self._run_rows = 0
        self._oldest_us = END_US  # the last event of no session that is to be published is before it

    def add(self, fragments: Fragments) -> None:
        """Take what a batch brought, at least one fragment."""
        self._oldest_us = min(self._oldest_us, int(fragments.last_us.min()))
        self._runs.append(fragments)
        self._run_rows += fragments.size
        if self._run_rows > max(_RUN_ROWS, self._rows.size):
            self._join()

    def look(self, reach_us: int, watermark_us: int) -> list[tuple[Fragments, bool]]:
        """Return what is withdrawn and then what is complete, each marked; forget what is final."""
        if self._oldest_us + self._window.wait_us > reach_us:
            return []
        self._join()
        withdrawn, self._withdrawn = self._withdrawn, self._withdrawn.between(0, 0)
        complete_us = self._rows.last_us + self._window.wait_us
        due = (complete_us <= reach_us) & ~published(self._rows.revision)
        complete = self._rows.at(np.flatnonzero(due))
        self._rows = self._rows._replace(revision=self._rows.revision + due)
        left = complete_us > watermark_us
        if not left.all():
            self._rows = self._rows.at(np.flatnonzero(left))
        # What is published and not final may be withdrawn at any time: then every look counts.
        stands = bool(published(self._rows.revision).any())
        self._oldest_us = START_US if stands else int(self._rows.last_us.min(initial=END_US))
        return [found for found in ((withdrawn, True), (complete, False)) if found[0].size]

    def snapshot(self) -> list[list[Any]]:
        """Return the state as plain data."""
        self._join()
        return [list(self._rows), list(self._withdrawn)]

    def restore(self, state: list[list[Any]]) -> None:
        """Take the state that `snapshot` returned."""
        self._rows, self._withdrawn = (Fragments._make(columns) for columns in state)
        self._oldest_us = START_US

    def _join(self) -> None:
        if self._runs:
            self._rows, withdrawn = join([self._rows, *self._runs], self._window.gap_us)
            self._withdrawn = Fragments.of([self._withdrawn, withdrawn])
            self._runs, self._run_rows = [], 0
