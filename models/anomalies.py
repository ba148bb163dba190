"""Anomalies put into clean flights, seeded, with labels: what the models are judged on, never trained on.

| kind | what is done to an event of an aircraft that reported 10 s before |
| --- | --- |
| teleport | its position is moved by 3 to 50 km (log-uniform), in any direction, for one report |
| frozen | for six reports the position stays what it was, the reported speed goes on |
| climb | its altitude is moved by 40 to 200 m/s x 10 s, up or down, for one report; its energy follows |
| energy | its energy alone is off by 3 to 30 %, up or down, for one report |
| swarm | for one minute 3 to 40 more aircraft (log-uniform) report every 10 s from one cell that is in use; their \
speed, climb and energy are those of aircraft elsewhere |

The report after an anomaly shows it too, since the aircraft jumps back: it is labelled aftermath and counts neither
as clean nor as found.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.grid import Grid
from kernels.schema import Columns

__all__ = ["AFTERMATH", "CLEAN", "KINDS", "Injected", "Swarms", "inject", "inject_swarms"]

CLEAN, AFTERMATH = 0, -1
KINDS = ("teleport", "frozen", "climb", "energy")
"""Kinds of an event, labelled 1, 2, ... in this order."""

_PERIOD_US = 10_000_000
_MINUTE_US = 60_000_000
_FROZEN = 6
_GRAVITY_MPS2 = 9.80665
_SWARM_ID = np.uint64(1 << 32)  # 24-bit transponder addresses end below


class Injected(NamedTuple):
    """Events with anomalies: the columns, and the (N,) int8 label of each event."""

    columns: Columns
    kind: NDArray[np.int8]


class Swarms(NamedTuple):
    """Events with swarms: the columns, and of each of K swarms its minute, cell and number of aircraft, (K,) int64."""

    columns: Columns
    start_us: NDArray[np.int64]
    cell: NDArray[np.int64]
    size: NDArray[np.int64]


def inject(columns: Columns, *, after_us: int, each: int, seed: int) -> Injected:
    """Put `each` anomalies of every kind into the events from `after_us` on.

    Parameters
    ----------
    columns
        Canonical columns of N events in order of time.
    """
    rng = np.random.default_rng(seed)
    changed = {name: values.copy() for name, values in columns.items()}
    kind = np.zeros(len(columns["time_us"]), np.int8)
    order = np.lexsort((columns["time_us"], columns["agent_id"]))
    free = _steady(columns, order, after_us)
    candidates = iter(rng.permutation(np.flatnonzero(free)).tolist())
    for label in range(1, len(KINDS) + 1):
        length = _FROZEN if KINDS[label - 1] == "frozen" else 1
        for _ in range(each):
            at = next(i for i in candidates if free[i : i + length + 1].all() and len(free) > i + length)
            free[at - 1 : at + length + 1] = False
            _change(changed, order[at - 1 : at + length], KINDS[label - 1], rng)
            kind[order[at : at + length]], kind[order[at + length]] = label, AFTERMATH
    return Injected(changed, kind)


def _steady(columns: Columns, order: NDArray[np.int64], after_us: int) -> NDArray[np.bool_]:
    """Say which events, in agent order, follow one of the same aircraft by one period, both from `after_us` on."""
    agent, time_us = columns["agent_id"][order], columns["time_us"][order]
    follows = (agent[1:] == agent[:-1]) & (np.diff(time_us) == _PERIOD_US) & (time_us[:-1] >= after_us)
    return np.concatenate(([False], follows))


def _change(columns: Columns, rows: NDArray[np.int64], kind: str, rng: np.random.Generator) -> None:
    """Make events `rows[1:]` an anomaly that follows event `rows[0]`."""
    before, at = rows[0], rows[1:]
    sign = rng.choice([-1.0, 1.0])
    if kind == "teleport":
        distance_m, angle = np.exp(rng.uniform(np.log(3e3), np.log(50e3))), rng.uniform(0, 2 * np.pi)
        columns["x_m"][at] += np.float32(distance_m * np.cos(angle))
        columns["y_m"][at] += np.float32(distance_m * np.sin(angle))
    elif kind == "frozen":
        for name in ("x_m", "y_m", "z_m"):
            columns[name][at] = columns[name][before]
    elif kind == "climb":
        rise_m = sign * rng.uniform(40, 200) * _PERIOD_US * 1e-6
        columns["z_m"][at] += np.float32(rise_m)
        columns["energy"][at] += np.float32(rise_m * _GRAVITY_MPS2)
    else:
        columns["energy"][at] *= np.float32(1 + sign * rng.uniform(0.03, 0.3))


def inject_swarms(columns: Columns, grid: Grid, *, after_us: int, swarms: int, seed: int) -> Swarms:
    """Put swarms into the events from `after_us` on, each into a minute and cell of its own that is in use."""
    rng = np.random.default_rng(seed)
    late = {name: values[columns["time_us"] >= after_us] for name, values in columns.items()}
    minute = late["time_us"] // _MINUTE_US
    cell = grid.cells(*(late[name] for name in ("x_m", "y_m", "z_m"))).astype(np.int64)
    used = np.unique(minute * grid.size + cell)
    place = rng.choice(used, swarms, replace=False)
    start_us, cell = place // grid.size * _MINUTE_US, place % grid.size
    size = np.exp(rng.uniform(np.log(3), np.log(41), swarms)).astype(np.int64)
    members = int(size.sum())
    reports = _MINUTE_US // _PERIOD_US
    added = {
        name: np.repeat(values[rng.integers(0, len(minute), members)], reports)
        for name, values in late.items()
    }
    added["agent_id"] = np.repeat(_SWARM_ID + np.arange(members, dtype=np.uint64), reports)
    added["time_us"] = np.repeat(np.repeat(start_us, size), reports) + np.tile(
        np.arange(reports) * _PERIOD_US, members
    )
    corner = zip(
        grid.unravel(np.repeat(np.repeat(cell, size), reports)), grid.min_m, grid.cell_m, strict=True
    )
    for name, (index, min_m, cell_m) in zip(("x_m", "y_m", "z_m"), corner, strict=True):
        added[name] = (min_m + (index + rng.uniform(0.01, 0.99, len(index))) * cell_m).astype(np.float32)
    joined = {name: np.concatenate((values, added[name])) for name, values in columns.items()}
    order = np.argsort(joined["time_us"], kind="stable")
    return Swarms({name: values[order] for name, values in joined.items()}, start_us, cell, size)
