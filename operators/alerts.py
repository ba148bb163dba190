"""Alerts: what an agent or a cell did, how far off it was, and why in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kernels.features import feature_rows
from kernels.scorer import Scorer
from operators.batch import Alerts, Batch
from operators.cells import Cells

__all__ = ["FIELDS", "agent_alerts", "cell_alerts"]

FIELDS: dict[str, str] = {
    "kind": "text", "time_us": "i8", "agent_id": "u8", "agent": "text", "window": "text", "start_us": "i8",
    "end_us": "i8", "cx": "i4", "cy": "i4", "cz": "i4", "x_m": "f4", "y_m": "f4", "z_m": "f4", "score": "f4",
    "threshold": "f4", "model": "text", "reason": "text", "revision": "i4",
}  # fmt: skip
"""Fields of an alert and their types. `kind` is `agent` or `cell`; fields of the other kind are null."""


def agent_alerts(
    batch: Batch, scores: np.ndarray, features: Sequence[np.ndarray], scorer: Scorer
) -> Alerts | None:
    """Return an alert for each event that scores above the model's threshold.

    Parameters
    ----------
    batch
        N events.
    scores, features
        (N,) float32, and F columns of (N,).
    scorer
        The model, for its threshold, its hash and its words.
    """
    columns, found = batch.columns, []
    for i in np.flatnonzero(scores > scorer.thresholds(columns["time_us"])).tolist():
        agent_id, time_us = int(columns["agent_id"][i]), int(columns["time_us"][i])
        found.append(
            _alert(
                scorer.at(time_us), "agent", scores[i], _row(features, i),
                time_us=time_us, agent_id=agent_id, agent=batch.names.get(agent_id),
                **{axis: float(columns[axis][i]) for axis in ("x_m", "y_m", "z_m")},
            )
        )  # fmt: skip
    return Alerts(found) if found else None


def cell_alerts(
    cells: Cells, scores: np.ndarray, features: Sequence[np.ndarray], scorer: Scorer
) -> Alerts | None:
    """Return an alert for each (window, cell) that scores above the model's threshold."""
    columns, found = cells.columns, []
    for i in np.flatnonzero(scores > scorer.thresholds(columns["start_us"])).tolist():
        place = {name: int(columns[name][i]) for name in ("start_us", "end_us", "cx", "cy", "cz", "revision")}
        found.append(
            _alert(
                scorer.at(place["start_us"]), "cell", scores[i], _row(features, i),
                time_us=place["end_us"], window=cells.windows[columns["window"][i]], **place,
            )
        )  # fmt: skip
    return Alerts(found) if found else None


def _alert(scorer: Scorer, kind: str, score: float, features: np.ndarray, **known: Any) -> dict[str, Any]:
    alert: dict[str, Any] = dict.fromkeys(FIELDS)
    alert |= {
        "kind": kind,
        "score": float(score),
        "threshold": scorer.threshold,
        "model": scorer.sha256,
        "reason": scorer.explain(features),
    }
    return alert | known


def _row(features: Sequence[np.ndarray], i: int) -> np.ndarray:
    row: np.ndarray = feature_rows([column[i : i + 1] for column in features])[0]
    return row
