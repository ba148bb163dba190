"""The stages that the configuration composes: transform, ml_inference and filter, over events and over cells.

Each is a callable on one item (a `Batch` before the aggregate, `Cells` after it) that changes its columns.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kernels.cell_features import cell_features
from kernels.expression import Expression
from kernels.scorer import Scorer
from operators.alerts import agent_alerts, cell_alerts
from operators.batch import Alerts, Batch
from operators.cells import Cells

__all__ = [
    "CellStage", "RowStage", "filter_cells", "filter_rows", "over_events", "score_cells", "score_rows",
    "transform_cells", "transform_rows",
]  # fmt: skip

RowStage = Callable[[Batch], Batch]
"""A stage over events."""
CellStage = Callable[[Cells], tuple[Cells, Alerts | None]]
"""A stage over cells; it may raise alerts."""


def over_events(stage: RowStage) -> RowStage:
    """Return the stage for batches with events; the others carry nothing but a watermark, and pass."""
    return lambda batch: stage(batch) if len(batch) else batch


def transform_rows(expressions: Mapping[str, Expression]) -> RowStage:
    """Return the stage that sets columns to expressions over the columns before it, as float32."""

    def stage(batch: Batch) -> Batch:
        batch.columns = batch.columns | _evaluate(expressions, batch.columns, np.dtype(np.float32))
        return batch

    return stage


def filter_rows(where: Expression) -> RowStage:
    """Return the stage that keeps the events for which `where` holds; the others are counted as filtered."""

    def stage(batch: Batch) -> Batch:
        batch.tally.filtered += batch.keep(where.evaluate(batch.columns))
        return batch

    return stage


def score_rows(scorer: Scorer) -> RowStage:
    """Return the stage that adds the column `score` and raises an alert for each event above the threshold."""

    def stage(batch: Batch) -> Batch:
        columns = _features(batch.columns, scorer)
        scores = scorer.score_timed(columns, batch.columns["time_us"])
        batch.columns = batch.columns | {"score": scores}
        alerts = agent_alerts(batch, scores, columns, scorer)
        if alerts is not None:
            batch.outputs.append(alerts)
        return batch

    return stage


def transform_cells(expressions: Mapping[str, Expression]) -> CellStage:
    """Return the stage that adds columns to the results, as float64."""

    def stage(cells: Cells) -> tuple[Cells, None]:
        cells.columns = cells.columns | _evaluate(expressions, cells.columns, np.dtype(np.float64))
        return cells, None

    return stage


def filter_cells(where: Expression) -> CellStage:
    """Return the stage that keeps the results for which `where` holds."""

    def stage(cells: Cells) -> tuple[Cells, None]:
        mask = where.evaluate(cells.columns)
        cells.columns = {name: values[mask] for name, values in cells.columns.items()}
        return cells, None

    return stage


def score_cells(scorer: Scorer) -> CellStage:
    """Return the stage that fills `score` and raises an alert for each cell above the threshold."""

    def stage(cells: Cells) -> tuple[Cells, Alerts | None]:
        columns = _features(cells.columns | cell_features(cells.columns), scorer)
        scores = scorer.score_timed(columns, cells.columns["start_us"])
        cells.columns = cells.columns | {"score": scores}
        return cells, cell_alerts(cells, scores, columns, scorer)

    return stage


def _evaluate(expressions: Mapping[str, Expression], columns: Any, dtype: np.dtype) -> dict[str, np.ndarray]:
    size = len(next(iter(columns.values())))
    return {
        name: np.broadcast_to(expression.evaluate(columns), (size,)).astype(dtype)
        for name, expression in expressions.items()
    }


def _features(columns: Mapping[str, np.ndarray], scorer: Scorer) -> list[np.ndarray]:
    """Return the columns that a model reads; a feature that the input lacks is no value."""
    size = len(next(iter(columns.values())))
    null = np.full(size, np.nan, np.float32)
    return [columns.get(name, null) for name in scorer.features]
