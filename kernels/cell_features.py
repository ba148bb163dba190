"""What a model reads of a (window, cell) beside its published statistics; each row by itself.

A comparison with the neighbouring cells is not among them: a shard sees only its own cells, so a score would depend on
how the world is cut into shards.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["cell_features"]

_VARIANCE = "_var"


def cell_features(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """Derive features from R result rows.

    Parameters
    ----------
    columns
        (R,) `count`, `start_us`, `end_us`, `agents` (below 0: not counted) and `M_var` of each metric M, as results
        have them.

    Returns
    -------
    dict[str, NDArray[np.float64]]
        (R,) each: `window_s`; `agents` and `events_per_agent`, NaN where agents were not counted; `M_std` of each
        metric, the standard deviation, NaN where there is no variance.

    Examples
    --------
    >>> rows = {"count": [12], "agents": [2], "start_us": [0], "end_us": [60_000_000], "speed_mps_var": [9.0]}
    >>> {name: float(v[0]) for name, v in cell_features({k: np.array(v) for k, v in rows.items()}).items()}
    {'window_s': 60.0, 'agents': 2.0, 'events_per_agent': 6.0, 'speed_mps_std': 3.0}
    """
    agents = np.where(columns["agents"] > 0, columns["agents"], np.nan)
    derived: dict[str, NDArray[np.float64]] = {
        "window_s": (columns["end_us"] - columns["start_us"]) * 1e-6,
        "agents": agents,
        "events_per_agent": columns["count"] / agents,
    }
    for name, values in columns.items():
        if name.endswith(_VARIANCE):
            derived[name.removesuffix(_VARIANCE) + "_std"] = np.sqrt(values)
    return derived
