"""The population of one patch of space: a table of the agents now in it, and what they say of themselves each tick.

The table has a row for each agent in the patch, its last event, and copies of those in the cells that touch it. A tick
is applied once every owner has told of it (`operators.owner`). Agents that were silent for too long leave; by the
same rule their owner forgets them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.agent_rows import Rows, from_bytes, join, kept, without
from kernels.agent_view import AgentView, Around
from kernels.backend import Backend
from kernels.lateness import START_US
from kernels.metric import Metric
from kernels.scorer import Scorer
from operators.owner import GONE, OWN, Moves, OwnerConfig
from operators.result import KINDS, Result
from operators.revisions import Revisions
from operators.state import pack, unpack
from operators.tick_log import TickLog

__all__ = ["PopulationConfig", "ShardAgents"]

_VERSION = 2
_NAN = np.float32(np.nan)


@dataclass(frozen=True)
class PopulationConfig:
    """What the agents of a shard need to know.

    Parameters
    ----------
    ticks
        Ticks, and how space is divided.
    backend
        Who does the arithmetic.
    metric
        Of which each group's mean is taken; None: of none.
    neighbours, radius_m
        How many nearest others of each agent are looked for (0: none), and how far.
    model
        Scores each agent; None: nobody does.
    """

    ticks: OwnerConfig
    backend: Backend
    metric: Metric | None = None
    neighbours: int = 0
    radius_m: float = 1.0
    model: Scorer | None = None


@dataclass
class _Told:
    """How far the owners have come."""

    open_tick: dict[int, int] = field(default_factory=dict)
    final_tick: dict[int, int] = field(default_factory=dict)

    def least(self, owners: int) -> tuple[int, int]:
        """Return the least of all owners: first tick not closed, first not final."""
        if len(self.open_tick) < owners:
            return START_US, START_US
        return min(self.open_tick.values()), min(self.final_tick.values())


class ShardAgents:
    """The agents of one shard, without an engine.

    Parameters
    ----------
    config
        What they need to know.
    state
        What `snapshot` returned, or None at the start.
    """

    def __init__(self, config: PopulationConfig, state: bytes | None = None) -> None:
        self._config, self._shard, self._told = config, -1, _Told()
        self._owners, dtype = config.ticks.patches.shards.shards, config.ticks.dtype
        self._log = TickLog[Rows, dict[int, Rows], list[Result]](np.empty(0, dtype), self._step)
        self._revisions = Revisions()
        if state is not None:
            saved = unpack("population", _VERSION, state)
            self._shard, self._told = saved["shard"], _Told(saved["open"], saved["final"])
            self._revisions = Revisions(saved["revisions"])
            inputs = {
                tick: {owner: from_bytes(rows, dtype) for owner, rows in own.items()}
                for tick, own in saved["inputs"].items()
            }
            self._log.restore(saved["log"], from_bytes(saved["base"], dtype), inputs)

    def on_messages(self, messages: Iterable[Moves]) -> list[Result]:
        """Take what owners told this shard; return what it has to say."""
        for moves in messages:
            self._shard = moves.shard
            self._take(moves)
        found: list[Result] = []
        for tick, results in self._log.advance(*self._told.least(self._owners)):
            # What had agents and has none any more must be said.
            said = results or [Result(kind, self._about(tick), _none(kind)) for kind in self._kinds]
            found += self._revisions.number(tick, said)
        self._revisions.forget(self._log.final)
        return found

    def snapshot(self) -> bytes:
        """Return the state as plain data."""
        inputs = {
            tick: {owner: rows.tobytes() for owner, rows in own.items()}
            for tick, own in self._log.inputs.items()
        }
        state = {"shard": self._shard, "open": self._told.open_tick, "final": self._told.final_tick}
        state |= {
            "log": self._log.snapshot(),
            "base": self._log.base.tobytes(),
            "inputs": inputs,
            "revisions": self._revisions.snapshot(),
        }
        return pack("population", _VERSION, state)

    @property
    def table(self) -> Rows:
        """The rows of the agents in the shard and of the copies, after the last closed tick."""
        return self._log.head

    @property
    def _kinds(self) -> tuple[str, ...]:
        return ("agents", "regions", "neighbours") if self._config.neighbours else ("agents", "regions")

    def _about(self, tick: int) -> str:
        return f"{(tick + 1) * self._config.ticks.tick_us}/{self._shard}"

    def _take(self, moves: Moves) -> None:
        if moves.from_tick < self._told.open_tick.get(moves.owner, START_US):
            for tick in [t for t in self._log.inputs if t >= moves.from_tick]:
                self._log.inputs[tick].pop(moves.owner, None)
                self._log.touch(tick)
        self._told.open_tick[moves.owner], self._told.final_tick[moves.owner] = (
            moves.open_tick,
            moves.final_tick,
        )
        rows = moves.rows.view(self._config.ticks.dtype)
        ends = np.cumsum(moves.counts).tolist()
        for tick, end, count in zip(moves.ticks.tolist(), ends, moves.counts.tolist(), strict=True):
            if self._log.touch(tick):
                self._log.inputs.setdefault(tick, {})[moves.owner] = rows[end - count : end]

    def _step(
        self, table: Rows, tick: int, given: Mapping[int, Rows]
    ) -> tuple[Rows, Callable[[], list[Result]]]:
        rows = np.concatenate([given[owner] for owner in sorted(given)]) if given else table[:0]
        rows = rows.take(np.argsort(rows["agent_id"], kind="stable"))
        gone = rows["role"] == GONE
        if gone.any():
            table, rows = without(table, rows["agent_id"][gone]), kept(rows, ~gone)
        table = join(table, rows)
        table = kept(table, table["time_us"] >= self._config.ticks.left(tick))
        return table, lambda: self._look(table, tick)

    def _look(self, table: Rows, tick: int) -> list[Result]:
        """Return what the agents of the shard say at the end of a tick."""
        own = table["role"] == OWN
        if not own.any():
            return []
        config, time_us = self._config, (tick + 1) * self._config.ticks.tick_us
        view = AgentView(table, own, config.ticks.patches)
        around, about = view.around(), self._about(tick)
        agents = self._agents(view, around, time_us) | {
            "shard": np.full(len(view.rows), self._shard, np.int32)
        }
        found = [_result("agents", about, time_us, agents)]
        found.append(_result("regions", about, time_us, view.groups(config.metric, config.backend)))
        if config.neighbours:
            near = view.nearest(k=config.neighbours, radius_m=config.radius_m)
            ids = table["agent_id"]
            columns = {"agent_id": ids[near.agent], "other_id": ids[near.other]}
            columns |= {"rank": near.rank, "distance_m": near.distance_m}
            found.append(_result("neighbours", about, time_us, columns))
        return found

    def _agents(self, view: AgentView, around: Around, end_us: int) -> dict[str, NDArray[Any]]:
        columns: dict[str, NDArray[Any]] = {n: view.rows[n] for n in view.rows.dtype.names or ()}
        columns["seen_us"] = columns["time_us"]
        columns |= {"near": around.near, "density": around.density, "near_heading_rad": around.heading_rad}
        columns["score"] = self._scores(columns, end_us)
        return columns

    def _scores(self, columns: Mapping[str, NDArray[Any]], end_us: int) -> NDArray[np.float32]:
        """Return the (N,) scores by the model and on the path that the end of the tick decides, as its degradation level."""
        size, model = len(columns["agent_id"]), self._config.model
        if model is None:
            return np.full(size, _NAN)
        features = [np.ascontiguousarray(columns[name], np.float32) for name in model.features]
        return model.score_timed(features, np.full(size, end_us, np.int64))


def _result(kind: str, about: str, time_us: int, columns: Mapping[str, NDArray[Any]]) -> Result:
    """Return columns as a result, in the types of its kind; what there is not is NaN."""
    known, size = KINDS[kind], len(next(iter(columns.values())))
    found: dict[str, NDArray[Any]] = {}
    for name in known.columns:
        values = columns.get(name, np.full(size, _NAN)) if name != "time_us" else np.full(size, time_us)
        found[name] = np.ascontiguousarray(values, known.dtype(name))
    return Result(kind, about, found)


def _none(kind: str) -> dict[str, NDArray[Any]]:
    return {name: np.empty(0, KINDS[kind].dtype(name)) for name in KINDS[kind].columns}
