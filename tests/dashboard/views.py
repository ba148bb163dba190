"""Views with known agents and cells, for the tests."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dashboard.view import View

__all__ = ["cells", "events", "filled", "levels"]


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


def levels(rows: Sequence[tuple[int, int, int, int, int]]) -> dict[str, pa.Table]:
    """Return rows (level, second, region, agents, way) of the hierarchy: state = region, it saw one more, 1 tells up, -1 down."""
    level, second, region, agents, _ = zip(*rows, strict=True) if rows else ((),) * 5
    state = [float(each) for each in region]
    told = [row for row in rows if row[4] and 0 <= row[0] + row[4] <= 6]
    whither = [row[0] + row[4] for row in told]
    about = [f"{row[0]}/{row[1]}/{row[2]}" for row in rows]
    return {
        "levels": pa.table(
            {
                "time_us": pa.array([each * 1_000_000 for each in second], pa.int64()), "level": pa.array(level, pa.uint8()),
                "cx": pa.array(region, pa.int32()), "events": pa.array(agents, pa.int64()), "agents": pa.array(agents, pa.int64()),
                "speed_mps_count": pa.array([float(each) for each in agents]), "speed_mps_state": pa.array(state, pa.float64()),
                "speed_mps_mean": pa.array([each + 1 for each in state], pa.float64()),
                "about": pa.array(about, pa.string()).dictionary_encode(),
            }
        ),
        "directives": pa.table(
            {
                "time_us": pa.array([row[1] * 1_000_000 for row in told], pa.int64()),
                "level": pa.array([row[0] for row in told], pa.uint8()), "to_level": pa.array(whither, pa.uint8()),
                "about": pa.array([f"{row[0]}/{row[1]}/{row[2]}" for row in told], pa.string()).dictionary_encode(),
            }
        ),
    }  # fmt: skip
