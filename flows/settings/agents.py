"""The agents themselves, and the levels of their hierarchy: the tables of the flows that follow them."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flows.settings.types import SECOND_US, Name, PositiveDuration, Section
from kernels.schema import MAX_LEVEL

__all__ = ["BLOCK_LEVEL", "Levels", "Population"]

_LEVELS = MAX_LEVEL + 1
BLOCK_LEVEL = 3
"""The level whose step is the least time that results of the hierarchy are gathered for."""


def _multiples(values: tuple[int, ...]) -> tuple[int, ...]:
    if any(low >= high or high % low for low, high in pairwise(values)):
        raise ValueError("each must be longer than the one before, and a multiple of it")
    return values


class Population(Section):
    """The state of every agent, tick by tick.

    Agents that were silent for longer than `expire` are forgotten. A region has `region_cells` cells an edge, and space
    is dealt to `shards` by regions. `neighbours` nearest others are looked for within `radius_m`, by default the
    shortest edge of a cell. Groups agree on `metric`, by default the first one; `model` scores each agent.
    """

    tick: PositiveDuration = SECOND_US
    expire: PositiveDuration = 60 * SECOND_US
    shards: Annotated[int, Field(ge=1, le=4096)] = 4
    region_cells: Literal[2, 4, 8, 16, 32, 64] = 8
    neighbours: Annotated[int, Field(ge=0, le=64)] = 0
    radius_m: Annotated[float, Field(gt=0)] | None = None
    metric: Name | None = None
    model: Name | None = None


class Levels(Section):
    """The hierarchy: the time scale of each level, and how strongly a level follows its children.

    Of each step in which something happens in a region there is a row, for the levels in `published`. Rows go out for a
    `tick` at a time, by default the step of level 3; longer ones make fewer and larger results, and later ones. The
    lower levels are dealt to `shards` by blocks of 8 x 8 x 8 cells.
    """

    time_scales_ms: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=_LEVELS, max_length=_LEVELS),
        AfterValidator(_multiples),
    ] = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
    coupling: Annotated[float, Field(ge=0, le=1)] = 0.1
    published: tuple[Annotated[int, Field(ge=0, le=MAX_LEVEL)], ...] = tuple(range(_LEVELS))
    tick: PositiveDuration | None = None
    shards: Annotated[int, Field(ge=1, le=4096)] = 4

    @property
    def tick_us(self) -> int:
        """How long results are gathered at least, microseconds."""
        return self.tick or self.time_scales_ms[BLOCK_LEVEL] * 1000
