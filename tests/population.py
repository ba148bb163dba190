"""Drives the population without an engine, and the slow obvious version of it: one agent at a time."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from partitions import Partitions, Published

from kernels.agent_rows import agent_dtype
from kernels.backend import get_backend
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.patches import Patches
from kernels.schema import Columns
from kernels.scorer import Scorer
from operators.batch import Batch
from operators.ingest import IngestConfig
from operators.last_events import LastEvents
from operators.owner import Owner, OwnerConfig
from operators.population import PopulationConfig, ShardAgents

__all__ = [
    "EXPIRE_US",
    "LATENESS_US",
    "SPEED",
    "TICK_US",
    "Event",
    "Flow",
    "alive",
    "groups",
    "near",
    "nearest",
]

TICK_US, LATENESS_US, EXPIRE_US = 10, 5, 25
SPEED = Metric("speed_mps", 0.5, 0, 100)
_DIRECTIONS = 65_536


class Event(NamedTuple):
    """One event of an agent."""

    agent_id: int
    time_us: int
    seq: int
    xyz: tuple[float, float, float]
    level: int
    speed: float
    heading: float


@dataclass
class Flow(Partitions):
    """The steps between sources and sink, and the last revision of what they put out."""

    grid: Grid
    partitions: int
    shards: int
    edge_bits: int = 1
    neighbours: int = 2
    backend: str = "numpy"
    model: Scorer | None = None
    found: Published = field(default_factory=Published)

    def __post_init__(self) -> None:
        """Build the steps."""
        checks = IngestConfig(self.grid, (SPEED,), least_lateness_us=LATENESS_US, lateness_us=3 * LATENESS_US)
        self.open(checks, self.partitions)
        patches = Patches(self.grid, self.edge_bits, self.shards)
        ticks = OwnerConfig(
            patches,
            agent_dtype(["speed_mps", "heading_rad"]),
            TICK_US,
            LATENESS_US,
            EXPIRE_US,
            10**9,
            self.partitions,
        )
        self.config = PopulationConfig(
            ticks, get_backend(self.backend), SPEED, self.neighbours, min(self.grid.cell_m), self.model
        )
        count = patches.shards.shards
        self.last = LastEvents(self.grid, ticks.dtype, tick_us=TICK_US, lateness_us=LATENESS_US, owners=count)
        self.owners = {str(k): Owner(ticks) for k in range(count)}
        self.agents = {str(k): ShardAgents(self.config) for k in range(count)}

    def restart(self) -> None:
        """Go on from snapshots, as after a crash."""
        super().restart()
        self.owners = {k: Owner(self.config.ticks, o.snapshot()) for k, o in self.owners.items()}
        self.agents = {k: ShardAgents(self.config, a.snapshot()) for k, a in self.agents.items()}

    def columns(self, events: Sequence[Event]) -> Columns:
        """Return events as columns."""
        return columns_of(events)

    def take(self, batch: Batch) -> None:
        """Let a batch through the steps."""
        for owner, told in self.last(batch):
            for moves in self.owners[owner].on_messages([told]):
                for result in self.agents[str(moves.shard)].on_messages([moves]):
                    self.found.add(result)


def columns_of(events: Sequence[Event]) -> Columns:
    """Return events as columns."""
    return {
        "agent_id": np.array([e.agent_id for e in events], np.uint64),
        "time_us": np.array([e.time_us for e in events], np.int64),
        "seq": np.array([e.seq for e in events], np.uint32),
        **{
            axis: np.array([e.xyz[n] for e in events], np.float32)
            for n, axis in enumerate(("x_m", "y_m", "z_m"))
        },
        "level": np.array([e.level for e in events], np.uint8),
        "speed_mps": np.array([e.speed for e in events], np.float32),
        "heading_rad": np.array([e.heading for e in events], np.float32),
    }


def alive(partitions: Mapping[int, Sequence[Event]]) -> dict[int, dict[int, Event]]:
    """Return by the end of each tick in which something happened the last event of each agent that is not forgotten."""
    kept: list[tuple[Any, Event]] = []
    for partition, events in partitions.items():
        latest = None
        for number, event in enumerate(events):
            if latest is None or latest - event.time_us <= LATENESS_US:
                kept.append(((event.time_us, event.seq, partition, number), event))
            latest = event.time_us if latest is None else max(latest, event.time_us)
    found = {}
    for tick in sorted({event.time_us // TICK_US for _, event in kept}):
        end_us = (tick + 1) * TICK_US
        last: dict[int, tuple[Any, Event]] = {}
        for key, event in kept:
            if event.time_us < end_us and (event.agent_id not in last or key >= last[event.agent_id][0]):
                last[event.agent_id] = (key, event)
        living = {agent: e for agent, (_, e) in last.items() if e.time_us >= end_us - EXPIRE_US}
        if living:
            found[end_us] = living
    return found


def near(living: Iterable[Event], of: Event, grid: Grid) -> list[Event]:
    """Return who is in the cells around an agent, itself included."""
    return [
        e
        for e in living
        if all(abs(a - b) <= 1 for a, b in zip(_cell(e, grid), _cell(of, grid), strict=True))
    ]


def nearest(living: Mapping[int, Event], of: Event, *, k: int, radius_m: float) -> list[tuple[int, float]]:
    """Return the k nearest others within a radius, with their distances as float32 has them."""
    pairs = []
    for agent, event in living.items():
        steps = [np.float32(a) - np.float32(b) for a, b in zip(of.xyz, event.xyz, strict=True)]
        square = steps[0] * steps[0] + steps[1] * steps[1] + steps[2] * steps[2]
        if agent != of.agent_id and square <= np.float32(radius_m) * np.float32(radius_m):
            pairs.append((float(square), agent))
    return [(agent, float(np.sqrt(np.float32(square)))) for square, agent in sorted(pairs)[:k]]


def groups(living: Iterable[Event], grid: Grid, edge_bits: int) -> dict[tuple[int, ...], dict[str, Any]]:
    """Return by region and level what the agents there have in common."""
    members = defaultdict(list)
    for event in living:
        members[(*(c >> edge_bits for c in _cell(event, grid)), event.level)].append(event)
    return {key: _group(events) for key, events in members.items()}


def _group(events: Sequence[Event]) -> dict[str, Any]:
    turns = [
        round(e.heading * _DIRECTIONS / math.tau) % _DIRECTIONS for e in events if not math.isnan(e.heading)
    ]
    speeds = [e.speed for e in events if not math.isnan(e.speed)]
    votes = Counter((turn + 4096) // 8192 % 8 for turn in turns)
    sector, support = min(votes.items(), key=lambda item: (-item[1], item[0]), default=(-1, 0))
    steps = [round(speed / SPEED.resolution) for speed in speeds]
    return {
        "agents": len(events), "headed": len(turns), "sector": sector, "support": support,
        "polarisation": _length(turns, 1), "nematic": _length(turns, 2), "value_count": len(speeds),
        "value_mean": sum(steps) / len(steps) * SPEED.resolution if steps else math.nan,
    }  # fmt: skip


def _length(turns: Sequence[int], times: int) -> float:
    angles = [times * turn * math.tau / _DIRECTIONS for turn in turns]
    total = math.hypot(sum(map(math.cos, angles)), sum(map(math.sin, angles)))
    return total / len(turns) if turns else math.nan


def _cell(event: Event, grid: Grid) -> tuple[int, int, int]:
    x, y, z = (
        min(int((p - low) / edge), n - 1)
        for p, low, edge, n in zip(event.xyz, grid.min_m, grid.cell_m, grid.shape, strict=True)
    )
    return x, y, z
