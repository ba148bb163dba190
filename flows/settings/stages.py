"""The row stages that a configuration composes: transform, score, filter, aggregate."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from flows.settings.types import Name, Section

__all__ = ["AggregateStage", "FilterStage", "InferenceStage", "Stage", "TransformStage", "split"]


class TransformStage(Section):
    """Adds columns, each computed from those before it."""

    kind: Literal["transform"]
    set: Annotated[dict[Name, str], Field(min_length=1)]


class InferenceStage(Section):
    """Adds the column `score` that a model computes."""

    kind: Literal["ml_inference"]
    model: str


class FilterStage(Section):
    """Keeps the rows for which an expression holds."""

    kind: Literal["filter"]
    where: str


class AggregateStage(Section):
    """Turns events into (window, cell) rows; without windows, over all that are configured."""

    kind: Literal["aggregate"]
    windows: tuple[Name, ...] = ()


Stage = Annotated[TransformStage | InferenceStage | FilterStage | AggregateStage, Field(discriminator="kind")]


def split(stages: Sequence[Stage]) -> tuple[list[Stage], list[Stage]]:
    """Return the stages before the first aggregate, which work on events, and those after it, which work on cells."""
    at = next((i for i, stage in enumerate(stages) if isinstance(stage, AggregateStage)), len(stages))
    return list(stages[:at]), list(stages[at + 1 :])
