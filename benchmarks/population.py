"""The population and the hierarchy: what a tick of a million agents costs, and what an agent takes in memory.

Times are of the CPU: other programs on the machine do not count.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.row import Effort, Row, repeat
from kernels.agent_rows import agent_dtype
from kernels.agent_view import AgentView
from kernels.backend import get_backend
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.patches import Patches
from kernels.pyramid import COUPLING
from kernels.schema import Columns
from operators.batch import Batch, Origin
from operators.last_events import LastEvents
from operators.level_block import Block
from operators.level_events import LevelEvents
from operators.level_results import LevelsConfig
from operators.owner import OWN, Owner, OwnerConfig
from operators.population import PopulationConfig, ShardAgents

__all__ = ["rows"]

_GRID = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (100, 100, 10))  # the reference's world
_SPEED = Metric("speed_mps", 0.001, 0, 1_000)
_TICK_US, _BATCH, _SHARDS = 1_000_000, 65_536, 16


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the rows of the population and of the hierarchy."""
    agents = effort.events(1_000_000)
    crowd = _Crowd(agents)
    crowd.tick(), crowd.tick()  # a tick closes as the next one begins
    what = f"population: {agents:,} agents in 100,000 cells"
    kernels, runs = repeat(crowd.kernels_ms, effort)
    note = "near, density, mean heading, order and consensus of groups; CPU time"
    yield Row(f"{what}, kernels of a tick", kernels, "ms", 250, at_most=True, runs=runs, note=note)
    whole, runs = repeat(lambda: sum(crowd.tick().values()), effort)
    note = ", ".join(f"{step} {ms:.0f}" for step, ms in crowd.tick().items())
    yield Row(f"{what}, every one moves: all steps of a tick", whole, "ms", runs=runs, note=f"CPU ms: {note}")
    yield Row("population: state of an agent", crowd.bytes_an_agent(), "bytes", 200, at_most=True,
              note="tables of shards, copies included, and of owners")  # fmt: skip
    few, k = _Crowd(agents // 10), 4
    few.tick(), few.tick()
    nearest, runs = repeat(lambda: few.nearest_us(k), effort)
    yield Row(
        f"population: {k} nearest of {agents // 10:,} agents in 100,000 cells",
        nearest,
        "us an agent",
        runs=runs,
    )
    if effort.share == 1:
        command = [sys.executable, "-m", "benchmarks.population", "10000000"]
        gb, seconds = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        yield Row("population: 10,000,000 agents in one process, greatest memory", gb, "GB",
                  note=f"every one moved once, in ticks of {_TICK_US // 10**6} s: {seconds:.0f} s of CPU a tick")  # fmt: skip
    rate, runs = repeat(lambda: _levels_rate(agents), effort)
    yield Row(
        "hierarchy: events through levels 0 to 3, 1 ms to 1 s", rate, "M events/s", runs=runs, note="CPU time"
    )


@dataclass
class _Crowd:
    """Agents that move at random through the steps of the population."""

    agents: int

    def __post_init__(self) -> None:
        patches = Patches(_GRID, 3, _SHARDS)
        ticks = OwnerConfig(
            patches, agent_dtype(["energy", "speed_mps", "heading_rad"]), _TICK_US, 0, 10**9, 10**9, 1
        )
        self.config = PopulationConfig(ticks, get_backend("numpy"), _SPEED)
        self.last = LastEvents(_GRID, ticks.dtype, tick_us=_TICK_US, lateness_us=0, owners=_SHARDS)
        self.owners = {str(k): Owner(ticks) for k in range(_SHARDS)}
        self.shards = {k: ShardAgents(self.config) for k in range(_SHARDS)}
        self.number, self._rng = 0, np.random.default_rng(0)
        size = np.array([[1000.0], [1000.0], [100.0]], np.float32)
        self._at = self._rng.random((3, self.agents), np.float32) * size
        self._size = size - np.float32(0.01)

    def tick(self) -> dict[str, float]:
        """Let every agent report once; return the CPU time of each step, ms."""
        self.number += 1
        self._at += self._rng.standard_normal((3, self.agents), np.float32)
        np.clip(self._at, 0, self._size, out=self._at)
        columns, clock, moves = self._columns(), _Clock(), []
        for batch in _batches(columns, self.number):
            told = clock.time("source", lambda batch=batch: list(self.last(batch)))
            moves += clock.time(
                "owners", lambda told=told: [m for k, t in told for m in self.owners[k].on_messages([t])]
            )
        clock.time("shards", lambda: [self.shards[m.shard].on_messages([m]) for m in moves])
        return clock.spent_ms

    def kernels_ms(self) -> float:
        """Return the CPU time of the kernels of a tick over all shards."""

        def run() -> None:
            for shard in self.shards.values():
                view = AgentView(shard.table, shard.table["role"] == OWN, self.config.ticks.patches)
                view.around()
                view.groups(self.config.metric, self.config.backend)

        return _cpu_ms(run)

    def nearest_us(self, k: int) -> float:
        """Return the CPU time of the search for the k nearest, microseconds an agent."""

        def run() -> None:
            for shard in self.shards.values():
                view = AgentView(shard.table, shard.table["role"] == OWN, self.config.ticks.patches)
                view.nearest(k=k, radius_m=10.0)

        return _cpu_ms(run) * 1000 / self.agents

    def bytes_an_agent(self) -> float:
        """Return what the tables of shards and owners take."""
        tables = sum(shard.table.nbytes for shard in self.shards.values())
        return (tables + sum(owner.nbytes for owner in self.owners.values())) / self.agents

    def _columns(self) -> Columns:
        n, x, y = self.agents, self._at[0], self._at[1]
        return {
            "agent_id": np.arange(1, n + 1, dtype=np.uint64), "time_us": np.full(n, self.number * _TICK_US),
            "seq": np.full(n, self.number, np.uint32), "x_m": x, "y_m": y, "z_m": self._at[2],
            "level": (np.arange(n) % 10 == 0).astype(np.uint8), "energy": x, "speed_mps": y, "heading_rad": x / 160,
        }  # fmt: skip


class _Clock:
    """CPU time by step."""

    def __init__(self) -> None:
        self.spent_ms: dict[str, float] = {}

    def time(self, step: str, run: Callable[[], Any]) -> Any:
        """Return what `run` does, and note how long it takes."""
        start = time.process_time()
        found = run()
        self.spent_ms[step] = self.spent_ms.get(step, 0.0) + (time.process_time() - start) * 1000
        return found


def _cpu_ms(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return (time.process_time() - start) * 1000


def _batches(columns: Columns, tick: int) -> Iterator[Batch]:
    """Yield the events of a tick; the first batch closes the tick before."""
    origin = Origin.of_record("crowd", 0)
    now_us = tick * _TICK_US
    for first in range(0, len(columns["agent_id"]), _BATCH):
        part = {name: values[first : first + _BATCH] for name, values in columns.items()}
        yield Batch(part, origin, now_us - (_TICK_US if first == 0 else 0), now_us)


def _levels_rate(events: int) -> float:
    """Return millions of events a second of CPU through the levels where the events are."""
    rng = np.random.default_rng(1)
    scales_us = tuple(10 ** (3 + level) for level in range(7))
    config = LevelsConfig((_SPEED,), scales_us, _TICK_US, COUPLING // 10, frozenset({3}), 0, 10**9, 1)
    step = LevelEvents(_GRID, (_SPEED,), tick_us=_TICK_US, lateness_us=0, shards=4)
    blocks = {str(k): Block(config) for k in range(4)}
    columns: Columns = {
        "agent_id": rng.integers(0, 10**6, events).astype(np.uint64), "time_us": np.sort(rng.integers(0, _TICK_US, events)),
        "level": np.zeros(events, np.uint8), "speed_mps": rng.random(events, np.float32),
    }  # fmt: skip
    columns |= {n: rng.random(events, np.float32) * m for n, m in (("x_m", 999), ("y_m", 999), ("z_m", 99))}

    def run() -> None:
        for batch in (*_batches(columns, 0), *_batches({n: v[:1] for n, v in columns.items()}, 2)):
            for shard, told in step(batch):
                blocks[shard].on_messages([told])

    return events / _cpu_ms(run) / 1000


def _work(agents: int) -> None:
    """Move `agents` agents through three ticks; print the greatest memory, GB, and the CPU time of a tick, s."""
    crowd = _Crowd(agents)
    spent = [sum(crowd.tick().values()) for _ in range(3)]
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps([round(peak_gb, 2), round(spent[-1] / 1000, 1)]))


if __name__ == "__main__":
    _work(int(sys.argv[1]))
