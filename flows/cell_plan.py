"""What a configuration means for the flow of cells: every object that its steps need, checked before it runs."""

from collections.abc import Iterator
from dataclasses import dataclass

from flows.part import Given
from flows.session_plan import SessionPlan
from flows.settings.root import Settings
from flows.stage_plan import Named, cell_stages
from kernels.aggregate import Layout
from kernels.errors import ConfigError
from kernels.shards import ShardMap
from operators.batch import Tally
from operators.cells import AGGREGATES, Cells, CellsConfig, cell_columns, layout_for, to_cells
from operators.combine import Combine, groups_of
from operators.privacy import Privacy
from operators.result_tables import Output
from operators.small_cells import Small
from operators.window import Closed, ShardWindows, WindowConfig
from operators.withdrawn import withdrawals

__all__ = ["CellPlan", "layout_of"]


@dataclass(frozen=True)
class CellPlan:
    """The steps of the flow of cells.

    Parameters
    ----------
    cell_stages
        After the aggregate, in the order of the configuration.
    combine
        The step before the exchange.
    windows
        What the windows of each shard need.
    cells
        How statistics become columns.
    sessions
        The steps of the session windows; None without any.
    privacy
        What is withheld or reported of small cells; None if nothing is.
    sink_partitions
        Number of writers.
    """

    cell_stages: tuple[Named, ...]
    combine: Combine
    windows: WindowConfig
    cells: CellsConfig
    sessions: SessionPlan | None
    privacy: Privacy | None
    sink_partitions: int

    @classmethod
    def of(cls, settings: Settings, given: Given) -> "CellPlan":
        """Build everything that `settings` describes.

        Raises
        ------
        ConfigError
            A stage or metric names a column that there is not.
        """
        grid, windows = settings.world.to_grid(), settings.windows_used
        layout = layout_of(settings)
        _check_metrics(layout, set(given.columns))
        groups = groups_of(windows, grid.size)
        shards, small = ShardMap.uniform(grid.size, min(settings.shards.count, grid.size)), None
        if settings.safety.privacy_preservation.small_cells == "merge":
            shards = shards.aligned(grid.block_of_rank)
            small = Small(settings.safety.privacy_preservation.k, grid.block_of_rank)
        first = len(settings.event_stages) + 1
        return cls(
            cell_stages=tuple(
                stage._replace(run=given.backend.watching(stage.run, _window_of))
                for stage in cell_stages(settings.cell_stages, first, _published(settings), given.models)
            ),
            combine=Combine(grid, shards, layout, groups, given.backend),
            windows=WindowConfig(
                groups, given.partitions, shards, layout, settings.event_time.horizon, small
            ),
            cells=CellsConfig(
                grid, layout, {w.name: w for w in windows},
                {w.name: frozenset(settings.windows[w.name].aggregates) for w in windows},
            ),
            sessions=SessionPlan.of(settings, given.backend, given.partitions),
            privacy=_privacy(settings), sink_partitions=settings.sink.partitions,
        )  # fmt: skip

    def window(self, state: bytes | None) -> ShardWindows:
        """Return the windows of one shard."""
        return ShardWindows(self.windows, state)

    def results(self, closed: list[tuple[str, Closed | Tally]]) -> Iterator[tuple[str, Output]]:
        """Yield closed windows as result rows, with the alerts they raise, for the sink partition of their shard."""
        for shard, item in closed:
            key = str(int(shard) % self.sink_partitions)
            if isinstance(item, Tally):
                yield key, item
                continue
            cells = to_cells(item, self.cells)
            if self.privacy is not None and item.agents is not None:
                cells, found = self.privacy.apply(cells, item.agents)
                yield from ((key, each) for each in found)
            for stage in self.cell_stages:
                cells, alerts = stage.run(cells)
                if alerts is not None:
                    yield key, alerts
            if len(cells):
                yield key, cells
            yield from ((key, gone) for gone in withdrawals(item, cells))


def _privacy(settings: Settings) -> Privacy | None:
    chosen = settings.safety.privacy_preservation
    return Privacy(chosen.k, chosen.enforce) if settings.privacy_used else None


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


def _window_of(cells: Cells) -> str:
    columns = cells.columns
    if not len(cells):
        return ""
    return (
        f"window {cells.windows[columns['window'][0]]} at {columns['start_us'].min()} us, shard {cells.shard}"
    )
