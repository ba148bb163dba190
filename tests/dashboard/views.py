"""Views with known agents and cells, for the tests."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dashboard.view import View

__all__ = ["cells", "events", "filled"]


def events(ids: Sequence[int], time_us: Sequence[int], x_m: Sequence[float]) -> dict[str, np.ndarray]:
    """Return events at (x, 2 x, 0), as fast as they are far, of level id mod 7."""
    at = np.array(x_m, np.float32)
    return {
        "agent_id": np.array(ids, np.uint64), "time_us": np.array(time_us, np.int64),
        "x_m": at, "y_m": 2 * at, "z_m": 0 * at, "speed_mps": at, "heading_rad": 0 * at,
        "level": np.array(ids, np.uint64).astype(np.uint8) % 7,
    }  # fmt: skip


def cells(window: str, start_us: int, shard: int, counts: Sequence[int], revision: int = 0) -> pa.Table:
    """Return the cells of a shard: cell (i, shard, 0) has the i-th count."""
    rows = len(counts)
    return pa.table(
        {
            "window": pa.array([window] * rows).dictionary_encode(),
            "start_us": pa.array([start_us] * rows, pa.int64()),
            "end_us": pa.array([start_us + 1_000_000] * rows, pa.int64()),
            "cx": pa.array(range(rows), pa.int32()), "cy": pa.array([shard] * rows, pa.int32()),
            "cz": pa.array([0] * rows, pa.int32()), "count": pa.array(counts, pa.int64()),
            "score": pa.array([float(n) for n in counts], pa.float32()),
            "revision": pa.array([revision] * rows, pa.int32()), "shard": pa.array([shard] * rows, pa.int32()),
        }
    )  # fmt: skip


def filled(ids: Sequence[int], shard: int = 0) -> View:
    """Return a view of agents at x = their id, and of a window of one shard."""
    view = View()
    view.take_events(events(ids, [1_000_000] * len(ids), list(ids)), {})
    view.take_tables({"cells": cells("second", 0, shard, [n * 10 for n in ids])})
    return view
