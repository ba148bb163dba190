"""The latest state of every agent that was heard of, and its last positions."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.agent_table import AgentTable

__all__ = ["FIELDS", "Agents", "History"]

Columns = Mapping[str, NDArray[Any]]

FIELDS: dict[str, str] = {
    "agent_id": "u8", "time_us": "i8", "x_m": "f4", "y_m": "f4", "z_m": "f4", "heading_rad": "f4",
    "speed_mps": "f4", "energy": "f4", "score": "f4", "level": "u1",
}  # fmt: skip
"""Columns of the state of agents; what an input lacks is NaN, or 0."""
_SMALLEST = 1024
_SLOT = np.array((-1,), dtype=[("slot", "<i8")])


class Agents:
    """State by slot: an agent keeps its slot until the agents are numbered anew (`generation`).

    Parameters
    ----------
    expire_us
        An agent that is silent for so long, in event time, is gone.

    Examples
    --------
    >>> agents = Agents(10)
    >>> agents.take({"agent_id": np.array([7], "u8"), "time_us": np.array([1]), "x_m": np.array([2.0])})
    >>> agents.alive()["x_m"].tolist()
    [2.0]
    """

    def __init__(self, expire_us: int) -> None:
        self.expire_us, self.generation, self.now_us = expire_us, 0, 0
        self.names: dict[int, str] = {}
        self._clear()

    def __len__(self) -> int:
        """Return how many slots there are."""
        return self._count

    def take(self, columns: Columns, names: Mapping[int, str] | None = None) -> None:
        """Take in N events, the last of an agent behind those before it; one older than what is known changes nothing."""
        ids = columns["agent_id"]
        if not len(ids):
            return
        if names:
            self.names.update(names)
        slots = self._slots(ids)
        newer = columns["time_us"] >= self._state["time_us"][slots]
        rows: slice | NDArray[np.bool_] = slice(None) if newer.all() else newer
        for name, own in self._state.items():
            if name in columns:
                own[slots[rows]] = columns[name][rows]
        self.changed[slots[rows]] = True
        self.now_us = max(self.now_us, int(columns["time_us"].max()))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return (N,) columns by slot, of those that are gone too; they are views."""
        return {name: values[: self._count] for name, values in self._state.items()}

    def gone(self) -> NDArray[np.bool_]:
        """Return (N,) by slot: which agents have been silent for too long."""
        return self._state["time_us"][: self._count] < self.now_us - self.expire_us

    def alive(self) -> dict[str, NDArray[Any]]:
        """Return (N,) columns of the agents that are not gone."""
        here = np.flatnonzero(~self.gone())
        return {name: values[here] for name, values in self.state().items()}

    def find(self, agent_id: int) -> int | None:
        """Return the slot of an agent, None if it is not known."""
        slots = np.flatnonzero(self._state["agent_id"][: self._count] == np.uint64(agent_id))
        return int(slots[0]) if len(slots) else None

    def drain(self) -> dict[str, NDArray[Any]]:
        """Return the (N,) state of those that changed since the last call."""
        slots = np.flatnonzero(self.changed[: self._count])
        self.changed[slots] = False
        return {name: values[slots] for name, values in self.state().items()}

    def compact(self) -> None:
        """Give agents new slots when a third of the slots, and not just a few, are of agents that are gone."""
        gone = self.gone()
        if np.count_nonzero(gone) <= max(_SMALLEST, self._count // 3):
            return
        kept, now_us = self.alive(), self.now_us
        self._clear()
        self.generation += 1
        self.take(kept)
        self.now_us = now_us
        if self.names:
            here = set(kept["agent_id"].tolist())
            self.names = {agent: name for agent, name in self.names.items() if agent in here}

    def _clear(self) -> None:
        self._count = 0
        self._table = AgentTable(_SLOT)
        self._state = {name: _blank(name, _SMALLEST) for name in FIELDS}
        self.changed = np.zeros(_SMALLEST, np.bool_)

    def _slots(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        at = self._table.slots(ids)
        slots: NDArray[np.int64] = self._table.read(at)["slot"]
        if (slots < 0).any():
            new = np.unique(ids[slots < 0])
            numbers = np.arange(self._count, self._count + len(new), dtype=np.int64)
            self._grow(self._count + len(new))
            self._table.write(self._table.slots(new), numbers.view(_SLOT.dtype))
            self._state["agent_id"][numbers] = new
            self._count += len(new)
            slots = self._table.read(self._table.slots(ids))["slot"]
        return slots

    def _grow(self, size: int) -> None:
        capacity = len(self.changed)
        if size <= capacity:
            return
        more = max(size, 2 * capacity) - capacity
        self._state = {
            name: np.concatenate([values, _blank(name, more)]) for name, values in self._state.items()
        }
        self.changed = np.concatenate([self.changed, np.zeros(more, np.bool_)])


class History:
    """Positions that agents had, of each at most one a `step_us`, in a bounded memory.

    Parameters
    ----------
    limit_bytes
        The oldest go first when there are more.
    step_us
        Event time between two samples.
    """

    _KEPT = ("agent_id", "time_us", "x_m", "y_m", "z_m", "speed_mps", "score", "level")

    def __init__(self, limit_bytes: int, step_us: int) -> None:
        self._limit, self._step_us, self._bytes, self._last_us = limit_bytes, step_us, 0, 0
        self._chunks: deque[dict[str, NDArray[Any]]] = deque()

    def take(self, state: Columns, now_us: int) -> None:
        """Note the state of N agents, if the last note is a step ago."""
        if abs(now_us - self._last_us) < self._step_us:
            return
        fresh = state["time_us"] > self._last_us
        self._last_us = now_us
        chunk = {name: state[name][fresh] for name in self._KEPT}
        self._chunks.append(chunk)
        self._bytes += _nbytes(chunk)
        while self._bytes > self._limit and len(self._chunks) > 1:
            self._bytes -= _nbytes(self._chunks.popleft())

    def of(self, agent_id: int) -> dict[str, NDArray[Any]]:
        """Return the (N,) samples of one agent, the oldest first."""
        found = []
        for chunk in self._chunks:
            rows = np.flatnonzero(chunk["agent_id"] == np.uint64(agent_id))
            found.append({name: values[rows] for name, values in chunk.items()})
        found = found or [{name: _blank(name, 0) for name in self._KEPT}]
        return {name: np.concatenate([part[name] for part in found]) for name in self._KEPT}


def _blank(name: str, size: int) -> NDArray[Any]:
    dtype = np.dtype(FIELDS[name])
    if name == "time_us":
        return np.full(size, np.iinfo(np.int64).min // 2, dtype)
    return np.full(size, np.nan if dtype.kind == "f" else 0, dtype)


def _nbytes(columns: Columns) -> int:
    return sum(values.nbytes for values in columns.values())
