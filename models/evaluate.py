"""How well a model finds injected anomalies in the held-out hours, and how often it cries wolf."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from kernels.schema import Columns
from kernels.scorer import Scorer
from models.anomalies import CLEAN, KINDS, Swarms, inject, inject_swarms
from models.cells import Cells, cell_table
from models.flights import event_features, flights_grid, trained_until_us

__all__ = ["Figure", "Report", "judge_cells", "judge_events"]

_EACH, _SWARMS, _SEED = 300, 300, 2018
_SIZES = (3, 6, 12, 41)  # edges of the sizes of swarms that are reported apart
_STILL = "still_s"


class Figure(NamedTuple):
    """What one kind of anomaly gave.

    Attributes
    ----------
    kind, rows
        Its name, and how many rows show it.
    auroc, found
        Area under the ROC curve against the clean rows beside it; share of its rows that score above the threshold.
    simple_auroc, simple_found
        The same of the largest deviation of a single feature, with as many false alerts: what a model has to beat.
    """

    kind: str
    rows: int
    auroc: float
    found: float
    simple_auroc: float
    simple_found: float


class Report(NamedTuple):
    """What a model does on the held-out hours.

    Attributes
    ----------
    figures
        By kind, and `all` of them.
    clean_rows, alerts_per_1000
        Without any injection: how many rows there are, and how many of 1,000 raise an alert.
    stale_share
        Share of those alerts in which the report repeats the position of the one before: faults of the source.
    """

    figures: tuple[Figure, ...]
    clean_rows: int
    alerts_per_1000: float
    stale_share: float


def judge_events(
    scorer: Scorer, columns: Columns, *, after_us: int | None = None, each: int = _EACH
) -> Report:
    """Judge the model of events on those that it was not trained on.

    Parameters
    ----------
    scorer
        The model.
    columns
        Canonical columns of aircraft that report every 10 s, in order of time.
    after_us
        From when on it was not trained; by default that of the bundled flights.
    each
        Anomalies of each kind.
    """
    after_us = trained_until_us(columns) if after_us is None else after_us
    held = columns["time_us"] >= after_us
    judge = _Judge(scorer, event_features(columns, scorer.features)[held])
    injected = inject(columns, after_us=after_us, each=each, seed=_SEED)
    rows, kind = event_features(injected.columns, scorer.features)[held], injected.kind[held]
    found = [judge.figure(name, rows, kind == label, kind == CLEAN) for label, name in enumerate(KINDS, 1)]
    return judge.report([*found, judge.figure("all", rows, kind > CLEAN, kind == CLEAN)])


def judge_cells(scorer: Scorer, columns: Columns) -> Report:
    """Judge the model of (window, cell) rows on flights that it was not trained on."""
    after_us = trained_until_us(columns)
    clean = cell_table(columns, flights_grid())
    judge = _Judge(scorer, clean.features(scorer.features)[clean.start_us >= after_us])
    swarms = inject_swarms(columns, flights_grid(), after_us=after_us, swarms=_SWARMS, seed=_SEED)
    table = cell_table(swarms.columns, flights_grid())
    held = table.start_us >= after_us
    rows, size, window_s = (
        table.features(scorer.features)[held],
        _swarm_size(table, swarms)[held],
        _window_s(table)[held],
    )
    found = []
    for length_s in np.unique(window_s).tolist():
        here = window_s == length_s
        for low, high in pairwise(_SIZES):
            name = f"swarm of {low} to {high - 1}, {length_s} s"
            found.append(judge.figure(name, rows, here & (size >= low) & (size < high), here & (size == 0)))
    return judge.report([*found, judge.figure("all", rows, size > 0, size == 0)])


def _window_s(table: Cells) -> NDArray[np.int64]:
    return (table.end_us - table.start_us) // 1_000_000


def _swarm_size(table: Cells, swarms: Swarms) -> NDArray[np.int64]:
    """Return the size of the swarm that each row of the table shows; 0 where there is none."""
    shown = np.zeros(len(table.cell), np.int64)
    for start_us, cell, size in zip(swarms.start_us, swarms.cell, swarms.size, strict=True):
        rows = (table.cell == cell) & (table.start_us <= start_us) & (table.end_us > start_us)
        shown[rows] = np.maximum(shown[rows], size)
    return shown


class _Judge:
    """A model beside the simple rule, whose threshold gives as many alerts on the clean held-out rows."""

    def __init__(self, scorer: Scorer, clean: NDArray[np.float32]) -> None:
        self._scorer = scorer
        self._clean_rows = len(clean)
        self._alerts = clean[scorer.score(clean) > scorer.threshold]
        share = len(self._alerts) / len(clean)
        self._simple_threshold = float(np.quantile(self._largest_deviation(clean), 1 - share))

    def figure(
        self, kind: str, rows: NDArray[np.float32], shows: NDArray[np.bool_], clean: NDArray[np.bool_]
    ) -> Figure:
        """Tell the rows that show a kind of anomaly from the clean ones."""
        truth, rows = shows[shows | clean], rows[shows | clean]
        scores, simple = self._scorer.score(rows), self._largest_deviation(rows)
        found = float((scores[truth] > self._scorer.threshold).mean())
        simple_found = float((simple[truth] > self._simple_threshold).mean())
        aurocs = (float(roc_auc_score(truth, values)) for values in (scores, simple))
        return Figure(kind, int(shows.sum()), next(aurocs), found, next(aurocs), simple_found)

    def report(self, figures: list[Figure]) -> Report:
        """Put figures together with what happens on the clean rows."""
        features = self._scorer.features
        stale = (
            self._alerts[:, features.index(_STILL)] > 0 if _STILL in features else np.zeros(len(self._alerts))
        )
        return Report(
            tuple(figures), self._clean_rows, 1000 * len(self._alerts) / self._clean_rows, float(stale.mean())
        )

    def _largest_deviation(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        typical, spread, _ = np.array([feature[3:] for feature in self._scorer.model.features], np.float32).T
        largest: NDArray[np.float32] = np.nan_to_num(np.abs((rows - typical) / spread), nan=0).max(axis=1)
        return largest
