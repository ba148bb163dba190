"""Drives the hierarchy without an engine, and the slow obvious version of it: one region, one step, one metric at a time."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from partitions import Partitions, Published
from population import LATENESS_US, Event, columns_of

from kernels.grid import Grid
from kernels.metric import Metric
from kernels.schema import Columns
from operators.batch import Batch
from operators.ingest import IngestConfig
from operators.level_block import Block
from operators.level_events import BLOCK_LEVEL, LevelEvents
from operators.level_results import LevelsConfig
from operators.level_stage import Climb
from operators.level_upper import Upper
from operators.result import Result

__all__ = ["COUPLING", "METRIC", "SCALES_US", "Flow", "levels"]

SCALES_US = (1, 2, 4, 8, 16, 32, 64)
METRIC = Metric("speed_mps", 0.5, 0, 100)
COUPLING = 104_858  # a tenth of 2**20
_POINT, _LEVELS = 1024, range(7)


@dataclass
class Flow(Partitions):
    """The steps between sources and sink, and the last revision of what they put out."""

    grid: Grid
    partitions: int
    shards: int
    tick_us: int = 8
    found: Published = field(default_factory=Published)

    def __post_init__(self) -> None:
        """Build the steps."""
        self.config = LevelsConfig(
            (METRIC,),
            SCALES_US,
            self.tick_us,
            COUPLING,
            frozenset(_LEVELS),
            LATENESS_US,
            10**9,
            self.partitions,
        )
        checks = IngestConfig(
            self.grid, (METRIC,), least_lateness_us=LATENESS_US, lateness_us=3 * LATENESS_US
        )
        self.open(checks, self.partitions)
        self.events = LevelEvents(
            self.grid,
            (METRIC,),
            tick_us=self.config.tick_of(BLOCK_LEVEL),
            lateness_us=LATENESS_US,
            shards=self.shards,
        )
        self.blocks = {str(k): Block(self.config) for k in range(self.shards)}
        self.uppers = [self._upper(level) for level in _LEVELS[BLOCK_LEVEL + 1 :]]

    def restart(self) -> None:
        """Go on from snapshots, as after a crash."""
        super().restart()
        self.blocks = {k: Block(self.config, block.snapshot()) for k, block in self.blocks.items()}
        self.uppers = [
            self._upper(level, upper.snapshot())
            for level, upper in zip(_LEVELS[BLOCK_LEVEL + 1 :], self.uppers, strict=True)
        ]

    def _upper(self, level: int, state: bytes | None = None) -> Upper:
        return Upper(self.config, level, self.shards if level == BLOCK_LEVEL + 1 else 1, state)

    def columns(self, events: Sequence[Event]) -> Columns:
        """Return events as columns."""
        return columns_of(events)

    def take(self, batch: Batch) -> None:
        """Let a batch through the steps."""
        for shard, told in self.events(batch):
            said = self.blocks[shard].on_messages([told])
            for upper in self.uppers:
                self._publish(said)
                said = [
                    each for climb in said if isinstance(climb, Climb) for each in upper.on_messages([climb])
                ]
            self._publish(said)

    def _publish(self, said: Sequence[Result | Climb]) -> None:
        for result in said:
            if isinstance(result, Result):
                self.found.add(result)


def levels(partitions: Mapping[int, Sequence[Event]], grid: Grid) -> dict[tuple[int, ...], dict[str, Any]]:
    """Return by (level, step, region) what a step of a region counted, and its mean and state in fixed point."""
    kept = _in_time(partitions)
    found: dict[tuple[int, ...], dict[str, Any]] = {}
    below: dict[tuple[Any, int], dict[str, Any]] = {}
    for level in _LEVELS:
        steps: dict[tuple[Any, int], list[Any]] = defaultdict(list)
        if level == 0:
            for event in kept:
                steps[_region(event, grid, 0), event.time_us // SCALES_US[0]].append(event)
            rows = {key: _ground(events) for key, events in steps.items()}
        else:
            ratio = SCALES_US[level] // SCALES_US[level - 1]
            for (region, step), row in below.items():
                steps[tuple(c >> 1 for c in region), step // ratio].append((region, step, row))
            rows = {key: _above(children) for key, children in steps.items()}
        _relax(rows)
        for (region, step), row in rows.items():
            row["agents"] = len({
                e.agent_id for e in kept
                if e.level == level and _region(e, grid, level) == region and e.time_us // SCALES_US[level] == step
            })  # fmt: skip
            found[(level, step, *region)] = row
        below = rows
    return found


def _ground(events: Sequence[Event]) -> dict[str, Any]:
    steps = [round(e.speed / METRIC.resolution) for e in events if not math.isnan(e.speed)]
    mean = sum(steps) * _POINT // len(steps) if steps else None
    return {"events": len(events), "n": len(steps), "total": sum(steps), "mean": mean}


def _above(children: Sequence[tuple[Any, int, dict[str, Any]]]) -> dict[str, Any]:
    last: dict[Any, tuple[int, Any]] = {}
    for region, step, row in children:
        if region not in last or step > last[region][0]:
            last[region] = (step, row["state"])
    states = [state for _, state in last.values() if state is not None]
    sums = {name: sum(row[name] for _, _, row in children) for name in ("events", "n", "total")}
    return {**sums, "mean": sum(states) // len(states) if states else None}


def _relax(rows: dict[tuple[Any, int], dict[str, Any]]) -> None:
    state: dict[Any, int | None] = {}
    for region, step in sorted(rows, key=lambda key: key[1]):
        row, before = rows[region, step], state.get(region)
        row["before"] = before
        if row["mean"] is None:
            row["state"] = before
        elif before is None:
            row["state"] = row["mean"]
        else:
            row["state"] = before + ((row["mean"] - before) * COUPLING >> 20)
        state[region] = row["state"]


def _in_time(partitions: Mapping[int, Sequence[Event]]) -> list[Event]:
    kept = []
    for events in partitions.values():
        latest = None
        for event in events:
            if latest is None or latest - event.time_us <= LATENESS_US:
                kept.append(event)
            latest = event.time_us if latest is None else max(latest, event.time_us)
    return kept


def _region(event: Event, grid: Grid, level: int) -> tuple[int, ...]:
    return tuple(
        min(int((p - low) / edge), n - 1) >> level
        for p, low, edge, n in zip(event.xyz, grid.min_m, grid.cell_m, grid.shape, strict=True)
    )
