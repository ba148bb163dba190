"""What each event says about its agent's movement, from it and the agent's event before it.

The rules, row by row, so that framing and batch size cannot change a bit:

1. The event before is the same agent's last one in partition order, in this batch or an earlier one.
2. It is forgotten if it lies more than `silence_us` behind the partition's running maximum, this row included.
3. Without an event before, or if time did not advance since, every feature is null (NaN).

Only + - * / sqrt, rounding and absolute value of float32: these are exact by IEEE 754, the same on every CPU.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.agent_order import CHUNK_ROWS, AgentOrder
from kernels.agent_table import AgentTable
from kernels.errors import ConfigError

__all__ = ["MOTION_FEATURES", "Motion"]

MOTION_FEATURES: Mapping[str, str] = {
    "dt_s": "s",
    "still_s": "s",
    "implied_speed_mps": "m/s",
    "implied_climb_mps": "m/s",
    "implied_accel_mps2": "m/s2",
    "turn_rate_radps": "rad/s",
    "energy_rate": "W/kg",
    "speed_gap_mps": "m/s",
    "climb_gap_mps": "m/s",
    "cross_track_mps": "m/s",
}
"""Name and unit of each feature; see `Motion.features`."""

_POSITION = ("x_m", "y_m", "z_m")
_METRICS = ("heading_rad", "speed_mps", "energy")
_LAST = np.dtype(
    [("time_us", "<i8"), ("moved_us", "<i8"), *((name, "<f4") for name in (*_POSITION, *_METRICS))]
)
_NAMES = _LAST.names or ()
_NEVER_SEEN = np.array((-(2**62), -(2**62), *[0] * 6), _LAST)
_READ = ("agent_id", "time_us", *_POSITION, *_METRICS, "climb_mps")
_TURNS = np.float32(0.5 / np.pi)  # turns in a radian
_QUARTER = np.float32(0.25)
_NONE = np.empty(0, np.float32)


class Motion:
    """The last event of every agent of one partition.

    Parameters
    ----------
    silence_us
        An agent silent for longer is forgotten, so memory is bounded by the agents of that span.

    Examples
    --------
    >>> motion = Motion()
    >>> event = {"agent_id": np.array([7, 7], np.uint64), "time_us": np.array([0, 2_000_000])}
    >>> event |= {name: np.array([0, 3], np.float32) for name in ("x_m", "y_m", "z_m")}
    >>> motion.features(event)["implied_climb_mps"]
    array([nan, 1.5], dtype=float32)
    """

    def __init__(self, silence_us: int = 600_000_000) -> None:
        if silence_us <= 0:
            raise ConfigError(f"silence_us must be above 0, got {silence_us}")
        self._silence_us = silence_us
        self._newest_us = int(_NEVER_SEEN["time_us"])
        self._table = AgentTable(_NEVER_SEEN)

    def __len__(self) -> int:
        """Return how many agents are followed."""
        return len(self._table)

    def features(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Compute the features of the next N events of the partition and remember each agent's last one.

        Parameters
        ----------
        columns
            (N,) `agent_id`, `time_us`, `x_m`, `y_m`, `z_m` of accepted events in partition order; `heading_rad`,
            `speed_mps`, `climb_mps` and `energy` where there are such columns, NaN where one is null.

        Returns
        -------
        dict[str, NDArray[np.float32]]
            (N,) for each name of `MOTION_FEATURES`: seconds since the event before, and since the position last
            changed; distance over ground, height, change of reported speed, of heading (the short way round) and of
            energy since the event before, per second; how far the implied speed and climb lie from the reported ones;
            the part of the implied velocity that is across the reported heading (clockwise from y). NaN where the
            rules or a null leave no value.
        """
        events = len(columns["agent_id"])
        chunks = [
            self._advance({name: _slice(columns, name, start) for name in _READ})
            for start in range(0, events, CHUNK_ROWS)
        ]
        if len(chunks) == 1:
            return chunks[0]
        return {name: np.concatenate([_NONE, *(chunk[name] for chunk in chunks)]) for name in MOTION_FEATURES}

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays, an element an agent in order of id, and `newest_us` (1,), the running maximum."""
        ids, rows = self._table.sorted()
        state = {name: np.ascontiguousarray(rows[name]) for name in _NAMES}
        return {"agent_id": ids, **state, "newest_us": np.array([self._newest_us])}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `snapshot` returned."""
        rows = np.empty(len(state["agent_id"]), _LAST)
        for name in _NAMES:
            rows[name] = state[name]
        self._newest_us = int(state["newest_us"][0])
        self._table = AgentTable(_NEVER_SEEN)
        self._table.write(self._table.slots(state["agent_id"]), rows)

    def _advance(self, now: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Compute the features of one chunk of rows."""
        time_us = now["time_us"]
        newest_us = np.maximum(np.maximum.accumulate(time_us), self._newest_us)
        slots = self._find(now["agent_id"])
        rows = AgentOrder(slots)
        known = self._table.read(slots.take(rows.first))
        before = {name: rows.before(known[name], now[name]) for name in _READ[1:-1]}
        forgotten = before["time_us"] < newest_us - self._silence_us
        now["moved_us"] = _moved_us(now, before, forgotten, known_us=known["moved_us"], rows=rows)
        self._remember(now, slots, rows.last)
        self._newest_us = int(newest_us[-1])
        dt_s = ((time_us - before["time_us"]) * 1e-6).astype(np.float32)
        dt_s[forgotten | (before["time_us"] >= time_us)] = np.nan
        return _movement(now, before, dt_s)

    def _find(self, agents: NDArray[np.uint64]) -> NDArray[np.int64]:
        horizon_us = self._newest_us - self._silence_us
        return self._table.slots(agents, live=lambda rows: rows["time_us"] >= horizon_us)

    def _remember(
        self, now: Mapping[str, NDArray[Any]], slots: NDArray[np.int64], last: NDArray[np.int64]
    ) -> None:
        rows = np.empty(len(last), _LAST)
        for name in _NAMES:
            rows[name] = now[name].take(last)
        self._table.write(slots.take(last), rows)


def _moved_us(
    now: Mapping[str, NDArray[Any]],
    before: Mapping[str, NDArray[Any]],
    forgotten: NDArray[np.bool_],
    *,
    known_us: NDArray[np.int64],
    rows: AgentOrder,
) -> NDArray[np.int64]:
    """Return when each row's agent last changed its position: at this row, or as the row before it said."""
    time_us: NDArray[np.int64] = now["time_us"]
    moved = forgotten.copy()
    for name in _POSITION:
        moved |= now[name] != before[name]
    return time_us if moved.all() else rows.carried(known_us, time_us, moved)


def _movement(
    now: Mapping[str, NDArray[Any]], before: Mapping[str, NDArray[Any]], dt_s: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Compute `MOTION_FEATURES` from (N,) columns now and before. Beyond float32 a speed is infinite, not an error."""
    with np.errstate(over="ignore", invalid="ignore"):
        x_m, y_m = now["x_m"] - before["x_m"], now["y_m"] - before["y_m"]
        turn = (now["heading_rad"] - before["heading_rad"]) * _TURNS
        heading = now["heading_rad"] * _TURNS
        still_s = np.maximum((now["time_us"] - now["moved_us"]) * 1e-6, 0).astype(np.float32)
        still_s[np.isnan(dt_s)] = np.nan
        speed_mps = np.sqrt(x_m * x_m + y_m * y_m) / dt_s
        climb_mps = (now["z_m"] - before["z_m"]) / dt_s
        return {
            "dt_s": dt_s,
            "still_s": still_s,
            "implied_speed_mps": speed_mps,
            "implied_climb_mps": climb_mps,
            "implied_accel_mps2": (now["speed_mps"] - before["speed_mps"]) / dt_s,
            "turn_rate_radps": (turn - np.rint(turn)) / (_TURNS * dt_s),
            "energy_rate": (now["energy"] - before["energy"]) / dt_s,
            "speed_gap_mps": np.abs(speed_mps - now["speed_mps"]),
            "climb_gap_mps": np.abs(climb_mps - now["climb_mps"]),
            "cross_track_mps": np.abs(x_m * _sine(heading + _QUARTER) - y_m * _sine(heading)) / dt_s,
        }


def _sine(turns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sine of an angle in turns to 0.0011: a parabola through its zeros and peaks, then bent toward it.

    The sine of a library differs between CPUs, and nothing here needs more than three digits.
    """
    turns = turns - np.rint(turns)
    bow: NDArray[np.float32] = turns * (np.float32(8) - np.float32(16) * np.abs(turns))
    return bow * (np.float32(0.775) + np.float32(0.225) * np.abs(bow))


def _slice(columns: Mapping[str, NDArray[Any]], name: str, start: int) -> NDArray[Any]:
    """Return a chunk of a column; nulls where there is no such column."""
    rows = slice(start, start + CHUNK_ROWS)
    if name in columns:
        return columns[name][rows]
    return np.full(len(columns["agent_id"][rows]), np.nan, np.float32)
