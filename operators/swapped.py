"""A model that is swapped while the flow runs: which one scores a row follows from its event time and the decisions.

So each result is of one model, and names it; a row that is scored again, after a restart or in a replay, is scored by the same.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.scorer import Scorer
from operators.decisions import DecisionLog

__all__ = ["Swapped"]


class Swapped(Scorer):
    """The models that a name of the configuration has had.

    Parameters
    ----------
    name
        Of the configuration.
    configured
        What scores until there is a swap.
    log
        The decisions.
    load
        Returns the model with a hash.
    """

    def __init__(
        self, name: str, configured: Scorer, log: DecisionLog, load: Callable[[str], Scorer]
    ) -> None:
        super().__init__(configured.model, configured._backend)
        self._name, self._configured, self._log, self._load = name, configured, log, load
        self._loaded = {configured.sha256: configured}

    def score_timed(self, columns: Sequence[NDArray[Any]], time_us: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score (N,) rows, each by the model of its time."""
        number, scorers = self._numbered(time_us)
        if len(scorers) == 1:
            return scorers[0].score_timed(columns, time_us)
        scores = np.empty(len(time_us), np.float32)
        for place, scorer in enumerate(scorers):
            rows = number == place
            scores[rows] = scorer.score_timed([column[rows] for column in columns], time_us[rows])
        return scores

    def at(self, time_us: int) -> Scorer:
        """Return what scores an event time."""
        return self._of(self.hash_at(time_us))

    def hash_at(self, time_us: int) -> str:
        """Return the identity of the model that scores an event time."""
        models = self._log.schedule.models(self._name)
        if not models:
            return self._configured.sha256
        return list(models.values())[bisect_right(list(models), time_us) - 1]

    def thresholds(self, time_us: NDArray[np.int64]) -> float | NDArray[np.float32]:
        """Return the threshold at each of (N,) event times."""
        number, scorers = self._numbered(time_us)
        if len(scorers) == 1:
            return scorers[0].threshold
        return np.array([scorer.threshold for scorer in scorers], np.float32)[number]

    def _numbered(self, time_us: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[Scorer]]:
        """Return (N,) which of the scorers is that of each time, and those scorers."""
        models = self._log.schedule.models(self._name)
        if not models or not len(time_us):
            return np.zeros(len(time_us), np.int64), [self._configured]
        hashes = list(models.values())
        used, number = np.unique(np.searchsorted(list(models), time_us, "right") - 1, return_inverse=True)
        return number, [self._of(hashes[each]) for each in used.tolist()]

    def _of(self, sha256: str) -> Scorer:
        if sha256 not in self._loaded:
            self._loaded[sha256] = self._load(sha256)
            self.sha256 = sha256  # what is said to be in use
        return self._loaded[sha256]
