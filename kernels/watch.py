"""What an agent must not do from one event to the next, row by row in the order of its partition.

    rule                  violated when                                                              value, bound
    energy_conservation   |energy now - at the last event that had one| > power x dt + slack         J/kg, J/kg
    causal_consistency    time now < time before                                                     s back, 0
                          seq now not after seq before (serial numbers of 32 bits; 0: none)          seq, seq before
    information_bounds    a column outside its declared range                                        value, nearest bound

`quarantined` marks the row of a violation and the agent's later ones, until the agent has gone `quarantine_us` of its own
time without one. An agent silent for longer than `silence_us` is as if it had never been seen; so is what the rows decide
a function of the partition's rows before them alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.agent_order import CHUNK_ROWS, AgentOrder
from kernels.agent_table import AgentTable
from kernels.findings import Findings, Found, joined

__all__ = ["CAUSAL", "ENERGY", "INFORMATION", "RULES", "Bounds", "Watch"]

RULES = ("energy_conservation", "causal_consistency", "information_bounds")
"""Rules by number."""
ENERGY, CAUSAL, INFORMATION = range(3)

_KEPT = ("x_m", "y_m", "z_m")
_LAST = np.dtype(
    [
        *((name, "<i8") for name in ("time_us", "energy_us", "violated_us")),
        *((name, "<f4") for name in (*_KEPT, "energy")),
        ("seq", "<u4"),
        ("level", "u1"),
    ]
)
_LONG_AGO = -(2**62)
_NEVER_SEEN = np.array((_LONG_AGO, _LONG_AGO, _LONG_AGO, 0, 0, 0, np.nan, 0, 0), _LAST)
_HALF = np.uint32(2**31)


@dataclass(frozen=True)
class Bounds:
    """What is allowed.

    Parameters
    ----------
    rules
        Numbers of the rules that are watched.
    power
        Largest change of energy in a second, in units of `energy`: W/kg for a flight.
    slack
        What energy may change by at once, because of how it is measured.
    ranges
        For each column its least and greatest value.
    quarantine_us, silence_us
        See the module.
    """

    rules: frozenset[int] = frozenset(range(len(RULES)))
    power: float = np.inf
    slack: float = 0.0
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    quarantine_us: int = 60_000_000
    silence_us: int = 3_600_000_000


class Watch:
    """The last event of every agent of one partition, held against the rules.

    Parameters
    ----------
    bounds
        What is allowed.

    Examples
    --------
    >>> watch = Watch(Bounds(power=100.0))
    >>> event = {"agent_id": np.array([7, 7], np.uint64), "time_us": np.array([0, 1_000_000])}
    >>> event |= {name: np.zeros(2, np.float32) for name in ("x_m", "y_m", "z_m")}
    >>> found = watch.check(event | {"energy": np.array([0, 150], np.float32)})
    >>> found.row.tolist(), found.value.tolist(), found.bound.tolist(), found.quarantined.tolist()
    ([1], [150.0], [100.0], [False, True])
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._newest_us = _LONG_AGO
        self._table = AgentTable(_NEVER_SEEN)

    def __len__(self) -> int:
        """Return how many agents are followed."""
        return len(self._table)

    def check(self, columns: Mapping[str, NDArray[Any]]) -> Findings:
        """Hold the next N events of the partition against the rules, and remember each agent's last one.

        Parameters
        ----------
        columns
            (N,) `agent_id`, `time_us`, `x_m`, `y_m`, `z_m` of accepted events in partition order; `energy`, `seq`,
            `level` and the columns of the ranges where there are any. NaN is no value, and violates nothing.
        """
        size = len(columns["agent_id"])
        chunks = [self._advance(columns, start) for start in range(0, max(size, 1), CHUNK_ROWS)]
        return chunks[0] if len(chunks) == 1 else Findings(*map(np.concatenate, zip(*chunks, strict=True)))

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays, an element an agent in order of id, and `newest_us` (1,), the running maximum."""
        ids, rows = self._table.sorted()
        state = {name: np.ascontiguousarray(rows[name]) for name in _LAST.names or ()}
        return {"agent_id": ids, **state, "newest_us": np.array([self._newest_us])}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `snapshot` returned."""
        rows = np.empty(len(state["agent_id"]), _LAST)
        for name in _LAST.names or ():
            rows[name] = state[name]
        self._newest_us = int(state["newest_us"][0])
        self._table = AgentTable(_NEVER_SEEN)
        self._table.write(self._table.slots(state["agent_id"]), rows)

    def _advance(self, columns: Mapping[str, NDArray[Any]], start: int) -> Findings:
        """Check one chunk of rows."""
        now = {name: values[start : start + CHUNK_ROWS] for name, values in columns.items()}
        time_us = now["time_us"]
        if not len(time_us):
            return joined([], np.zeros(0, np.bool_), np.zeros(0, np.bool_), np.empty(0, _LAST), start)
        newest_us = np.maximum(np.maximum.accumulate(time_us), self._newest_us)
        slots = self._table.slots(now["agent_id"], live=self._alive)
        rows = AgentOrder(slots)
        known, last = self._table.read(slots.take(rows.first)), _as_rows(now)
        before = rows.before(known, last)
        # A table that is full drops who was silent for long: whether it has done so must not be seen.
        new = before["time_us"] < newest_us - self._bounds.silence_us
        gaps = _Gaps(rows, known, new)
        if "energy" in now and np.isnan(last["energy"]).any():
            before = gaps.carry_energy(last)
        before[new] = _NEVER_SEEN
        found = [*self._energy(now, before), *self._causal(now, before), *self._information(now)]
        earlier_us = gaps.note_violations(last, found)
        self._table.write(slots.take(rows.last), last.take(rows.last))
        self._newest_us = int(newest_us[-1])
        span_us = self._bounds.quarantine_us
        marked, marked_before = time_us - last["violated_us"] < span_us, time_us - earlier_us < span_us
        return joined(found, marked, marked_before, before, start)

    def _alive(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        alive: NDArray[np.bool_] = rows["time_us"] >= self._newest_us - self._bounds.silence_us
        return alive

    def _energy(self, now: Mapping[str, NDArray[Any]], before: NDArray[Any]) -> list[Found]:
        if ENERGY not in self._bounds.rules or "energy" not in now:
            return []
        change = np.abs(now["energy"].astype(np.float64) - before["energy"])
        dt_s = (now["time_us"] - before["energy_us"]) * 1e-6
        bound = self._bounds.power * np.maximum(dt_s, 0) + self._bounds.slack
        jumps = np.flatnonzero(change > bound)  # NaN without an energy now or before: no jump
        return [Found(ENERGY, "energy", jumps, change.take(jumps), bound.take(jumps))]

    def _causal(self, now: Mapping[str, NDArray[Any]], before: NDArray[Any]) -> list[Found]:
        if CAUSAL not in self._bounds.rules:
            return []
        back = np.flatnonzero(now["time_us"] < before["time_us"])
        back_s = (before["time_us"].take(back) - now["time_us"].take(back)) * 1e-6
        found = [Found(CAUSAL, "time_us", back, back_s, np.zeros(len(back)))]
        if "seq" in now:
            seq, seen = now["seq"].astype(np.uint32, copy=False), before["seq"]
            ahead = seq - seen  # modulo 2**32, as serial numbers are (RFC 1982)
            stuck = np.flatnonzero((seq != 0) & (seen != 0) & ((ahead == 0) | (ahead >= _HALF)))
            values = (column.take(stuck).astype(np.float64) for column in (seq, seen))
            found.append(Found(CAUSAL, "seq", stuck, *values))
        return found

    def _information(self, now: Mapping[str, NDArray[Any]]) -> list[Found]:
        if INFORMATION not in self._bounds.rules:
            return []
        return [
            _outside(name, now[name], low, high)
            for name, (low, high) in self._bounds.ranges.items()
            if name in now
        ]


class _Gaps:
    """What the rows of a chunk carry on of their agents' past, across rows that say nothing of it.

    Parameters
    ----------
    rows, known
        The order of the N rows, and (A,) what was known of each agent.
    new
        (N,) whether the agent is as if it had never been seen before this row.
    """

    def __init__(self, rows: AgentOrder, known: NDArray[Any], new: NDArray[np.bool_]) -> None:
        self._rows, self._known, self._new = rows, known, new

    def carry_energy(self, last: NDArray[Any]) -> NDArray[Any]:
        """Fill the nulls of `last` with the energy before; return what then lies before each row."""
        stands = ~np.isnan(last["energy"]) | self._new
        known = -1 - np.arange(len(self._known))  # below 0: what was known of the agent
        at = self._rows.carried(known, np.arange(len(last)), stands)
        held, agent, row = at < 0, np.maximum(-1 - at, 0), np.maximum(at, 0)
        for name in ("energy", "energy_us"):
            last[name] = np.where(held, self._known[name].take(agent), last[name].take(row))
        return self._rows.before(self._known, last)

    def note_violations(self, last: NDArray[Any], found: Sequence[Found]) -> NDArray[np.int64]:
        """Set in `last` when each agent last violated a rule; return when it had before each row."""
        stands, at_us = self._new.copy(), np.full(len(last), _LONG_AGO)
        for each in found:
            stands[each.row] = True
            at_us[each.row] = last["time_us"].take(each.row)
        last["violated_us"] = self._rows.carried(self._known["violated_us"], at_us, stands)
        earlier_us = self._rows.before(self._known["violated_us"], last["violated_us"])
        earlier_us[self._new] = _LONG_AGO
        return earlier_us


def _outside(name: str, values: NDArray[Any], low: float, high: float) -> Found:
    rows = np.flatnonzero((values < low) | (values > high))
    value = values.take(rows).astype(np.float64)
    return Found(INFORMATION, name, rows, value, np.where(value < low, low, high))


def _as_rows(now: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return (N,) rows of state of the events themselves."""
    rows = np.empty(len(now["time_us"]), _LAST)
    for name in ("time_us", *_KEPT):
        rows[name] = now[name]
    rows["energy_us"] = now["time_us"]
    for name, missing in (("energy", np.nan), ("seq", 0), ("level", 0)):
        rows[name] = now.get(name, missing)
    return rows
