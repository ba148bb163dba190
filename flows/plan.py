"""What a configuration means for the flow of cells: every object that its steps need, checked before it runs."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flows.session_plan import SessionPlan
from flows.settings.root import Settings
from flows.settings.stages import FilterStage, InferenceStage, Stage, TransformStage
from flows.settings.types import located
from kernels.aggregate import Layout
from kernels.backend import Backend, get_backend
from kernels.errors import ConfigError
from kernels.expression import Expression
from kernels.motion import MOTION_FEATURES
from kernels.schema import REQUIRED
from kernels.scorer import Scorer
from kernels.shards import ShardMap
from operators.batch import Batch, Tally
from operators.cells import AGGREGATES, CellsConfig, cell_columns, layout_for, to_cells
from operators.combine import Combine, groups_of
from operators.ingest import IngestConfig
from operators.result_tables import Output
from operators.stages import (
    filter_cells,
    filter_rows,
    score_cells,
    score_rows,
    transform_cells,
    transform_rows,
)
from operators.window import Closed, ShardWindows, WindowConfig, WindowStep
from operators.withdrawn import withdrawals

__all__ = ["Named", "Plan"]

_FIXED = {
    *REQUIRED,
    "seq",
    "level",
    "window",
    "start_us",
    "end_us",
    "cx",
    "cy",
    "cz",
    "count",
    "agents",
    "revision",
}
"""Columns that say which event or cell a row is: a transform must not change them."""


class Named(NamedTuple):
    """A stage, the name of its step, and the model it runs."""

    name: str
    run: Callable[[Any], Any]
    model: Scorer | None = None


@dataclass(frozen=True)
class Plan:
    """The steps of the flow of cells.

    Parameters
    ----------
    ingest
        What the source partitions check.
    row_stages, cell_stages
        Before and after the aggregate, in the order of the configuration.
    combine
        The step before the exchange.
    windows, shards
        What the windows of each shard need.
    cells
        How statistics become columns.
    sessions
        The steps of the session windows; None without any.
    backend
        Who does the arithmetic.
    models
        Loaded models by name.
    sink_partitions
        Number of writers.
    """

    ingest: IngestConfig
    row_stages: tuple[Named, ...]
    cell_stages: tuple[Named, ...]
    combine: Combine
    windows: WindowConfig
    shards: ShardMap
    cells: CellsConfig
    sessions: SessionPlan | None
    backend: Backend
    models: dict[str, Scorer]
    sink_partitions: int

    @classmethod
    def of(cls, settings: Settings, *, columns: Collection[str], partitions: int) -> "Plan":
        """Build everything that `settings` describes.

        Parameters
        ----------
        settings
            Validated.
        columns
            The columns that the source gives.
        partitions
            Number of source partitions.

        Raises
        ------
        ConfigError
            A stage or metric names a column that there is not, a model cannot be loaded, a backend cannot be had.
        """
        backend = get_backend(settings.kernels.backend)
        models = _load_models(settings)
        grid, windows = settings.world.to_grid(), settings.windows_used
        layout = _layout(settings)
        groups = groups_of(windows, grid.size)
        known, read = {*columns, *MOTION_FEATURES}, set[str]()
        row_stages = _row_stages(settings.event_stages, known, read, models)
        _check_metrics(layout, known - set(MOTION_FEATURES))
        cells = CellsConfig(
            grid, layout, {w.name: w for w in windows},
            {w.name: frozenset(settings.windows[w.name].aggregates) for w in windows},
        )  # fmt: skip
        shards = ShardMap.uniform(grid.size, min(settings.shards.count, grid.size))
        return cls(
            ingest=_ingest(settings, layout, columns=tuple(columns), motion=bool(read & set(MOTION_FEATURES))),
            row_stages=row_stages,
            cell_stages=_cell_stages(settings.cell_stages, len(row_stages) + 1, _published(settings), models),
            combine=Combine(grid, shards, layout, groups, backend),
            windows=WindowConfig(groups, partitions, shards, layout, settings.event_time.horizon),
            shards=shards, cells=cells, sessions=SessionPlan.of(settings, backend, partitions),
            backend=backend, models=models, sink_partitions=settings.sink.partitions,
        )  # fmt: skip

    def window(self, state: bytes | None) -> WindowStep:
        """Return the windows of one shard."""
        return WindowStep(ShardWindows(self.windows, state))

    def account(self, batch: Batch) -> Iterator[tuple[str, Output]]:
        """Yield what the stages took out of a batch, for the sink partition of its source partition."""
        key = str(batch.partition % self.sink_partitions)
        return ((key, output) for output in batch.account())

    def results(self, closed: list[tuple[str, Closed | Tally]]) -> Iterator[tuple[str, Output]]:
        """Yield closed windows as result rows, with the alerts they raise, for the sink partition of their shard."""
        for shard, item in closed:
            key = str(int(shard) % self.sink_partitions)
            if isinstance(item, Tally):
                yield key, item
                continue
            cells = to_cells(item, self.cells)
            for stage in self.cell_stages:
                cells, alerts = stage.run(cells)
                if alerts is not None:
                    yield key, alerts
            if len(cells):
                yield key, cells
            yield from ((key, gone) for gone in withdrawals(item, cells))

    @property
    def cell_model(self) -> str | None:
        """SHA-256 of the model that scores the cells."""
        return next((m.sha256 for s in self.cell_stages if (m := s.model) is not None), None)


def _layout(settings: Settings) -> Layout:
    asked = {a for w in settings.windows_used for a in settings.windows[w.name].aggregates}
    return layout_for(settings.metrics_used, asked)


def _published(settings: Settings) -> set[str]:
    """Return the columns of the results in which every window has values: what a stage over cells may read."""
    published = set(cell_columns(_layout(settings))) - {"window"}
    for window in settings.windows_used:
        asked = {*settings.windows[window.name].aggregates, "count"}
        published -= {f"{m}_{a}" for m in settings.metrics for a in AGGREGATES if a not in asked}
        published -= {"agents"} - asked
    return published


def _ingest(settings: Settings, layout: Layout, *, columns: tuple[str, ...], motion: bool) -> IngestConfig:
    latenesses = [w.lateness_us for w in settings.windows_used]
    latenesses += [w.lateness_us for w in settings.sessions_used]
    return IngestConfig(
        settings.world.to_grid(),
        layout.metrics,
        least_lateness_us=min(latenesses),
        lateness_us=max(latenesses),
        max_jump_us=settings.event_time.max_jump,
        future_us=settings.event_time.future,
        dedup=settings.event_time.dedup,
        motion=motion,
        columns=columns,
    )


def _load_models(settings: Settings) -> dict[str, Scorer]:
    """Load the models that a stage names."""
    used = {s.model for s in settings.stages if isinstance(s, InferenceStage)}
    found = {}
    for name in sorted(used):
        model = settings.models[name]
        try:
            data = located(model.path).read_bytes()
        except OSError as error:
            raise ConfigError(f"models.{name}.path = {str(model.path)!r}: {error.strerror}") from error
        found[name] = Scorer.load(data, sha256=model.sha256, backend=settings.kernels.backend)
        if model.threshold is not None:
            found[name] = found[name].with_threshold(model.threshold)
    return found


def _row_stages(
    configured: Sequence[Stage], known: set[str], read: set[str], models: dict[str, Scorer]
) -> tuple[Named, ...]:
    """Build the stages over events; the columns that they add go into `known`, those they read into `read`."""
    found = []
    for number, stage in enumerate(configured):
        name = f"{stage.kind}_{number}"
        if isinstance(stage, TransformStage):
            expressions = _expressions(number, stage, known)
            read.update(*(e.columns for e in expressions.values()))
            found.append(Named(name, transform_rows(expressions)))
        elif isinstance(stage, FilterStage):
            where = _predicate(number, stage, known)
            read |= where.columns
            found.append(Named(name, filter_rows(where)))
        elif isinstance(stage, InferenceStage):
            model = models[stage.model]
            _check_features(number, model, known)
            read.update(model.features)
            found.append(Named(name, score_rows(model), model))
            known.add("score")
    return tuple(found)


def _cell_stages(
    configured: Sequence[Stage], first: int, known: set[str], models: dict[str, Scorer]
) -> tuple[Named, ...]:
    """Build the stages over (window, cell) rows; `first` is the number of the first of them in the configuration."""
    found = []
    for number, stage in enumerate(configured, first):
        name = f"{stage.kind}_{number}"
        if isinstance(stage, TransformStage):
            found.append(Named(name, transform_cells(_expressions(number, stage, known))))
        elif isinstance(stage, FilterStage):
            found.append(Named(name, filter_cells(_predicate(number, stage, known))))
        elif isinstance(stage, InferenceStage):
            found.append(Named(name, score_cells(models[stage.model]), models[stage.model]))
            known.add("score")
    return tuple(found)


def _expressions(number: int, stage: TransformStage, known: set[str]) -> dict[str, Expression]:
    """Parse a transform; each expression may use the columns that the ones before it set."""
    found = {}
    for name, text in stage.set.items():
        if name in _FIXED:
            raise ConfigError(
                f"stages.{number}.set.{name}: this column cannot be set anew", "Choose another name"
            )
        found[name] = _parse(f"stages.{number}.set.{name}", text, known)
        known.add(name)
    return found


def _predicate(number: int, stage: FilterStage, known: set[str]) -> Expression:
    expression = _parse(f"stages.{number}.where", stage.where, known)
    if expression.kind != "bool":
        raise ConfigError(f"stages.{number}.where = {stage.where!r}: a number", "Compare it: speed_mps > 20")
    return expression


def _parse(key: str, text: str, columns: set[str]) -> Expression:
    try:
        return Expression.parse(text, columns)
    except ConfigError as error:
        raise ConfigError(f"{key} = {text!r}: {error.message}", error.hint) from error


def _check_features(number: int, model: Scorer, columns: set[str]) -> None:
    missing = [name for name in model.features if name not in columns]
    if missing:
        raise ConfigError(
            f"stages.{number}.model: its features {', '.join(missing)} are not among the columns "
            f"{', '.join(sorted(columns))}",
            "Map or derive them in [input.mapping], or add a transform before the model",
        )


def _check_metrics(layout: Layout, columns: set[str]) -> None:
    for metric in layout.metrics:
        if metric.name not in columns:
            raise ConfigError(
                f"metrics.{metric.name}: no such column; there are {', '.join(sorted(columns))}",
                "Map or derive it in [input.mapping], or add a transform before the aggregate",
            )
