"""The hierarchy as it was told last: of each level its newest step, and what was said up and down in it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dashboard.newest import newest
from kernels.schema import MAX_LEVEL

__all__ = ["KINDS", "Pyramid"]

KINDS = ("levels", "directives")
"""The kinds of results that it is made of."""
_STATE = "_state"


class Pyramid:
    """The newest step of each level: steps last longer the higher a level is, so each has a time of its own.

    Examples
    --------
    >>> pyramid = Pyramid()
    >>> rows = {"time_us": [5], "level": [2], "events": [9], "agents": [3], "about": ["2/5/0"]}
    >>> pyramid.take("levels", pa.table(rows))
    >>> pyramid.levels()[2]["agents"], pyramid.levels()[3]
    (3, None)
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], pa.Table] = {}
        self._said: list[dict[str, Any] | None] | None = None

    def take(self, kind: str, table: pa.Table) -> None:
        """Take in rows of the kind `levels` or `directives`."""
        for level in pc.unique(table["level"].drop_null()).to_pylist():
            rows = newest(self._rows.get((kind, level)), table.filter(pc.equal(table["level"], level)))
            if rows is not None:
                self._rows[kind, level] = rows
        self._said = None

    def levels(self) -> list[dict[str, Any] | None]:
        """Return of each level, the lowest first, what its newest step says; None where there has been none.

        Regions, events and agents; directives up and down; of each metric the mean that the regions saw, their state, and how
        far the two lie apart, each weighted by the values that went into it.
        """
        if self._said is None:
            self._said = [self._level(level) for level in range(MAX_LEVEL + 1)]
        return self._said

    def _level(self, level: int) -> dict[str, Any] | None:
        rows = self._rows.get(("levels", level))
        if rows is None:
            return None
        names = [name.removesuffix(_STATE) for name in rows.column_names if name.endswith(_STATE)]
        return {
            "time_us": rows["time_us"][0].as_py(),
            "regions": rows.num_rows,
            "events": pc.sum(rows["events"]).as_py(),
            "agents": pc.sum(rows["agents"]).as_py(),
            **self._directives(level, rows["time_us"][0].as_py()),
            "metrics": {name: _metric(rows, name) for name in names},
        }

    def _directives(self, level: int, time_us: int) -> dict[str, int]:
        """Return how many regions told their parent something, and their children, in the step that ended then."""
        said = self._rows.get(("directives", level))
        if said is None or said["time_us"][0].as_py() != time_us:
            return {"up": 0, "down": 0}
        to_level = said["to_level"].to_numpy()
        return {"up": int((to_level > level).sum()), "down": int((to_level < level).sum())}


def _metric(rows: pa.Table, name: str) -> Mapping[str, float | None]:
    mean, state, weight = (_floats(rows, f"{name}_{of}") for of in ("mean", "state", "count"))
    known = np.isfinite(mean) & np.isfinite(state) & (weight > 0)
    if not known.any():
        return {"mean": None, "state": None, "gap": None}
    of = {"mean": mean, "state": state, "gap": np.abs(mean - state)}
    return {what: float(np.average(values[known], weights=weight[known])) for what, values in of.items()}


def _floats(rows: pa.Table, name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = rows[name].to_numpy().astype(np.float64)
    return values
