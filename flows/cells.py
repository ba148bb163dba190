"""The flow of cells: events in, statistics per (window, cell) out.

batches -> combine -> window (by shard) -> cells -> cell stages -+-> results
       |                                                         |
       +-> session combine -> session (by shard) -> sessions ----+
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Dataflow, Stream

from flows.part import Given
from flows.session_plan import SessionPlan
from flows.settings.root import Settings
from flows.stage_plan import Named, cell_stages
from kernels.aggregate import Layout
from kernels.errors import ConfigError
from kernels.shards import ShardMap
from operators.batch import Batch
from operators.cell_results import CellResults
from operators.cells import AGGREGATES, Cells, CellsConfig, cell_columns, layout_for
from operators.combine import Combine, groups_of
from operators.guard import guarded
from operators.keyed import keyed
from operators.privacy import Privacy
from operators.result_tables import Output, empty_cells, empty_sessions
from operators.small_cells import Small
from operators.window import ShardWindows, WindowConfig

__all__ = ["CellsPart", "from_env", "layout_of"]


@dataclass(frozen=True)
class CellsPart:
    """The windows over cells, and the session windows, as a part of the run.

    Parameters
    ----------
    combine
        The step before the exchange.
    windows
        What the windows of each shard need.
    stages
        After the aggregate, in the order of the configuration.
    results
        The step after the windows.
    sessions
        The steps of the session windows; None without any.
    """

    combine: Combine
    windows: WindowConfig
    stages: tuple[Named, ...]
    results: CellResults
    sessions: SessionPlan | None

    @classmethod
    def of(cls, settings: Settings, given: Given) -> "CellsPart":
        """Build the steps that `settings` describes; ConfigError where a stage or metric does not fit the events."""
        grid, windows, layout = settings.world.to_grid(), settings.windows_used, layout_of(settings)
        _check_metrics(layout, set(given.columns))
        groups = groups_of(windows, grid.size)
        shards, small = ShardMap.uniform(grid.size, min(settings.shards.count, grid.size)), None
        if settings.safety.privacy_preservation.small_cells == "merge":
            shards = shards.aligned(grid.block_of_rank)
            small = Small(settings.safety.privacy_preservation.k, grid.block_of_rank)
        first = len(settings.event_stages) + 1
        stages = cell_stages(settings.cell_stages, first, _published(settings), given.models)
        asked = {w.name: frozenset[str](settings.windows[w.name].aggregates) for w in windows}
        return cls(
            combine=Combine(grid, shards, layout, groups, given.backend),
            windows=WindowConfig(groups, given.partitions, shards, layout, settings.event_time.horizon, small),
            stages=stages,
            results=CellResults(
                CellsConfig(grid, layout, {w.name: w for w in windows}, asked),
                [given.backend.watching(stage.run, _window_of) for stage in stages],
                _privacy(settings), settings.sink.partitions,
            ),
            sessions=SessionPlan.of(settings, given.backend, given.partitions),
        )  # fmt: skip

    @property
    def steps(self) -> list[str]:
        """The names of its steps."""
        return ["combine", "window", *(stage.name for stage in self.stages)]

    @property
    def tables(self) -> dict[str, pa.Table]:
        """What it publishes, without rows."""
        found = {"cells": empty_cells(self.windows.layout)}
        return (
            found
            if self.sessions is None
            else found | {"sessions": empty_sessions(self.sessions.config.layout)}
        )

    @property
    def model(self) -> Callable[[int], str] | None:
        """Say which model scores the cells of windows with a start: its SHA-256; None if none does."""
        return next((m.hash_at for s in self.stages if (m := s.model) is not None), None)

    def attach(self, batches: Stream[Batch]) -> Stream[tuple[str, Output]]:
        """Add the steps to the flow of `batches`."""
        messages = op.flat_map_batch("combine", batches, self.combine.many)
        closed = keyed("window", messages, partial(ShardWindows, self.windows))
        results = op.flat_map_batch("cells", closed, guarded("cells", self.results))
        if (sessions := self.sessions) is None:
            return results
        fragments = op.flat_map("session_combine", batches, guarded("session_combine", sessions.combine))
        found = keyed("session", fragments, sessions.step)
        return op.merge(
            "windows", results, op.flat_map_batch("sessions", found, guarded("sessions", sessions.results))
        )


def layout_of(settings: Settings) -> Layout:
    """Return the statistics that a cell must hold for the windows."""
    asked = {a for w in settings.windows_used for a in settings.windows[w.name].aggregates}
    return layout_for(settings.metrics_used, asked)


def _published(settings: Settings) -> set[str]:
    """Return the columns of the results in which every window has values: what a stage over cells may read."""
    published = set(cell_columns(layout_of(settings))) - {"window"}
    for window in settings.windows_used:
        asked = {*settings.windows[window.name].aggregates, "count"}
        published -= {f"{m}_{a}" for m in settings.metrics for a in AGGREGATES if a not in asked}
        published -= {"agents"} - asked
    return published


def _check_metrics(layout: Layout, columns: set[str]) -> None:
    for metric in layout.metrics:
        if metric.name not in columns:
            raise ConfigError(
                f"metrics.{metric.name}: no such column; there are {', '.join(sorted(columns))}",
                "Map or derive it in [input.mapping], or add a transform before the aggregate",
            )


def _privacy(settings: Settings) -> Privacy | None:
    chosen = settings.safety.privacy_preservation
    return Privacy(chosen.k, chosen.enforce) if settings.privacy_used else None


def _window_of(cells: Cells) -> str:
    columns = cells.columns
    if not len(cells):
        return ""
    return (
        f"window {cells.windows[columns['window'][0]]} at {columns['start_us'].min()} us, shard {cells.shard}"
    )


def from_env() -> Dataflow:
    """Return the run that the environment asks for, into part files: `python -m bytewax.run "flows.cells:from_env()"`.

    `AURA_PROFILE` names the profile (flights), further `AURA_*` variables override it. `aura collect` puts the parts of
    the finished run together.
    """
    # Here, not above: assemble imports this module for the part.
    from flows.assemble import assemble  # noqa: PLC0415
    from flows.settings.root import load  # noqa: PLC0415

    env = {name: value for name, value in os.environ.items() if name != "AURA_PROFILE"}
    return assemble(load(os.environ.get("AURA_PROFILE", "flights"), env=env).settings).flow
