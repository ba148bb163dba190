"""Drives the logic of the flow of cells without an engine, in any framing and interleaving that a test asks for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from partitions import Partitions
from reference import Row

from kernels.aggregate import Layout
from kernels.backend import Backend, get_backend
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.panes import Window
from kernels.schema import Columns
from kernels.shards import ShardMap
from operators.batch import Batch, Tally
from operators.cells import AGGREGATES, CellsConfig, to_cells
from operators.combine import Combine, Message, groups_of
from operators.ingest import IngestConfig
from operators.window import Closed, ShardWindows, WindowConfig

__all__ = ["Flow", "columns_of", "last_rows"]


@dataclass
class Flow(Partitions):
    """The steps between a source and a sink, and what they put out."""

    grid: Grid
    metrics: Sequence[Metric]
    windows: Sequence[Window]
    partitions: int
    shards: int = 3
    dedup: bool = False
    max_jump_us: int | None = None
    backend: Backend = field(default_factory=lambda: get_backend("numpy"))
    horizon_us: int = 10**12
    closed: list[Closed] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        """Build the steps."""
        flags = (True,) * len(self.metrics)
        self.layout = Layout(tuple(self.metrics), flags, flags)
        groups = groups_of(self.windows, self.grid.size)
        latenesses = [w.lateness_us for w in self.windows]
        checks = IngestConfig(
            self.grid, tuple(self.metrics), least_lateness_us=min(latenesses), lateness_us=max(latenesses),
            dedup=self.dedup, max_jump_us=self.max_jump_us,
        )  # fmt: skip
        self.open(checks, self.partitions)
        shards = ShardMap.uniform(self.grid.size, self.shards)
        self.combine = Combine(self.grid, shards, self.layout, groups, self.backend)
        self.window_config = WindowConfig(groups, self.partitions, shards, self.layout, self.horizon_us)
        self.shard_windows = {str(k): ShardWindows(self.window_config) for k in range(self.shards)}

    def restart(self) -> None:
        """Go on from snapshots, as after a crash."""
        super().restart()
        self.shard_windows = {
            k: ShardWindows(self.window_config, w.snapshot()) for k, w in self.shard_windows.items()
        }

    def columns(self, events: Sequence[Row]) -> Columns:
        """Return rows as columns."""
        return columns_of(events, self.grid, self.metrics)

    def take(self, batch: Batch) -> None:
        """Let a batch through the steps."""
        for output in batch.account():
            if isinstance(output, Tally):
                self.tally.add(output)
        messages: dict[str, list[Message]] = {}
        for key, message in self.combine(batch):
            messages.setdefault(key, []).append(message)
        for key, own in messages.items():
            for found in self.shard_windows[key].on_messages(own):
                if isinstance(found, Tally):
                    self.tally.add(found)
                else:
                    self.closed.append(found)

    def rows(self) -> dict[tuple, dict]:
        """Return the last revision of every result row, as the reference has them."""
        config = CellsConfig(
            self.grid, self.layout, {w.name: w for w in self.windows},
            {w.name: frozenset(AGGREGATES) for w in self.windows},
        )  # fmt: skip
        return last_rows(self.closed, config)


def last_rows(closed: Iterable[Closed], config: CellsConfig) -> dict[tuple, dict]:
    """Return result rows by (window, start, cx, cy, cz), a later revision in place of an earlier one."""
    found: dict[tuple, dict] = {}
    for each in closed:
        columns = to_cells(each, config).columns
        for i in range(len(columns["count"])):
            row = {name: values[i].item() for name, values in columns.items()}
            key = (each.window, *(row[name] for name in ("start_us", "cx", "cy", "cz")))
            if key not in found or found[key]["revision"] < row["revision"]:
                found[key] = row
            else:
                assert found[key]["revision"] != row["revision"], f"{key} came twice at one revision"
    return found


def columns_of(rows: Sequence[Row], grid: Grid, metrics: Sequence[Metric]) -> Columns:
    """Return rows as columns, each position in the middle of its cell."""
    columns: Columns = {
        "agent_id": np.array([r.agent_id for r in rows], np.uint64),
        "time_us": np.array([r.time_us for r in rows], np.int64),
        "seq": np.array([r.seq for r in rows], np.uint32),
    }
    for axis, name in enumerate(("x_m", "y_m", "z_m")):
        middle = [grid.min_m[axis] + (r.cell[axis] + 0.5) * grid.cell_m[axis] for r in rows]
        columns[name] = np.array(middle, np.float32)
    for number, metric in enumerate(metrics):
        values = [np.nan if r.values[number] is None else r.values[number] for r in rows]
        columns[metric.name] = np.array(values, np.float32)
    return columns


def split(rows: Sequence[Row], sizes: Sequence[int]) -> list[Sequence[Row]]:
    """Cut rows into batches of the given sizes, repeated as needed."""
    batches, first, turn = [], 0, 0
    while first < len(rows):
        size = max(1, sizes[turn % len(sizes)])
        batches.append(rows[first : first + size])
        first, turn = first + size, turn + 1
    return batches


def interleave(
    batches: Mapping[int, Sequence[Sequence[Row]]], picks: Sequence[int]
) -> list[tuple[int, Sequence[Row]]]:
    """Merge the partitions' batches in an order that `picks` decides; each partition keeps its own order."""
    left = {p: list(b) for p, b in batches.items() if b}
    order, turn = [], 0
    while left:
        names = sorted(left)
        p = names[picks[turn % len(picks)] % len(names)] if picks else names[0]
        order.append((p, left[p].pop(0)))
        if not left[p]:
            del left[p]
        turn += 1
    return order
