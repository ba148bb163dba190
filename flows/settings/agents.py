"""The agents themselves: the table of the flow that keeps the state of each of them."""

from typing import Annotated, Literal

from pydantic import Field

from flows.settings.types import SECOND_US, Name, PositiveDuration, Section

__all__ = ["Population"]


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
