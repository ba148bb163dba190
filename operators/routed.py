"""A model with two paths: the fast one that the configuration asks for, and numpy, which always works.

Which one scores a row follows from the row's event time and the decisions: none of the fast path from level `major` on;
else its share of the slices of event time between two borders, which slices by their hash. So a replay that obeys the decisions
scores every row as it was scored.

While the share is not whole the fast path is on trial: the rows that it scores are scored by numpy too, and a call of which
a row differs by more than rounding, or that raises, is an error.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.errors import KernelFailed
from kernels.hashing import mix64
from kernels.scorer import Scorer
from operators.decisions import DecisionLog, Schedule
from operators.degrade import MAJOR

__all__ = ["Routed", "Trial", "on_fast_path"]

_TOLERANCE = 1e-3  # relative; float32 in another order of additions differs by 1e-6
_WHOLE = 100


class Trial:
    """Calls of a path on trial, and how many of them were errors."""

    def __init__(self) -> None:
        self.calls = self.errors = 0


class Routed(Scorer):
    """A scorer whose paths change in event time.

    Parameters
    ----------
    fast, safe
        The same model on both.
    log
        The decisions.
    trial
        Told of every call of the fast path that is on trial.
    """

    def __init__(self, fast: Scorer, safe: Scorer, log: DecisionLog, trial: Trial) -> None:
        super().__init__(fast.model, fast._backend)
        self._fast, self._safe, self._log, self._trial = fast, safe, log, trial

    def score_timed(self, columns: Sequence[NDArray[Any]], time_us: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score (N,) rows, each by the path of its time."""
        schedule = self._log.schedule
        if not len(schedule):
            return self._fast.score_columns(columns)
        fast, whole = on_fast_path(schedule, time_us, self._log.border_us)
        if whole:
            return self._fast.score_columns(columns)
        safe = self._safe.score_columns(columns)
        return np.where(fast, self._tried(columns, fast, safe), safe) if fast.any() else safe

    def _tried(
        self, columns: Sequence[NDArray[Any]], fast: NDArray[np.bool_], safe: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return what the fast path gives, or `safe` where it fails; count how that went."""
        self._trial.calls += 1
        try:
            found = self._fast.score_columns(columns)
        except KernelFailed:
            self._trial.errors += 1
            return safe
        apart = ~np.isclose(found[fast], safe[fast], rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
        self._trial.errors += bool(apart.any())
        return found


def on_fast_path(
    schedule: Schedule, time_us: NDArray[np.int64], border_us: int
) -> tuple[NDArray[np.bool_], bool]:
    """Return (N,) whether the fast path scores each row, and whether it scores all of them without being on trial."""
    fast = np.empty(len(time_us), np.bool_)
    whole, number = True, time_us // border_us
    for each in np.unique(number).tolist():
        decision = schedule.at(each * border_us)
        share = 0 if decision.level >= MAJOR else decision.share
        chosen = int(mix64(np.array([each % 2**64], np.uint64))[0]) >> 32
        fast[number == each] = chosen % _WHOLE < share
        whole &= share == _WHOLE
    return fast, whole
