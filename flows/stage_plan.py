"""The stages that a configuration composes, as steps: expressions parsed, models put in, columns checked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flows.settings.stages import FilterStage, InferenceStage, Stage, TransformStage
from kernels.errors import ConfigError
from kernels.expression import Expression
from kernels.schema import REQUIRED
from kernels.scorer import Scorer
from operators.stages import (
    filter_cells,
    filter_rows,
    score_cells,
    score_rows,
    transform_cells,
    transform_rows,
)

__all__ = ["Named", "cell_stages", "row_stages"]

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


def row_stages(
    configured: Sequence[Stage], known: set[str], read: set[str], models: Mapping[str, Scorer]
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


def cell_stages(
    configured: Sequence[Stage], first: int, known: set[str], models: Mapping[str, Scorer]
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
