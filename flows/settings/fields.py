"""The layered field that agents leave marks in, and the emergence over regions: how both move on."""

import math
from typing import Annotated, Literal

from pydantic import Field

from flows.settings.types import SECOND_US, PositiveDuration, Section
from kernels.lattice import Boundary

__all__ = ["Emergence", "Field3D"]

_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]
_ALMOST = 1 - 1e-12  # as in flows.settings.analysis


class Field3D(Section):
    """The layered field.

    `shape_m` is its box from the world's lower corner on, that of the world where it is not given; `resolution_m` the edge
    of its cells, one for all axes or one each. `memory` is how long a report counts as an agent of now, `rest` how long
    nothing may be reported before the field is taken to be empty again.
    """

    shape_m: tuple[_Positive, _Positive, _Positive] | None = None
    resolution_m: _Positive | tuple[_Positive, _Positive, _Positive] = 10
    layers: Annotated[
        tuple[Literal["pheromone", "gradient", "potential", "information"], ...], Field(min_length=1)
    ] = (
        "pheromone",
        "gradient",
        "potential",
        "information",
    )
    rate_hz: _Positive = 60
    boundary: Boundary = "reflecting"
    diffusion_m2ps: Annotated[float, Field(ge=0)] = 50
    evaporation_per_s: Annotated[float, Field(ge=0)] = 0.2
    screening_m: _Positive = 20
    tolerance: _Positive = 1e-3
    memory: PositiveDuration = SECOND_US
    publish: PositiveDuration = SECOND_US
    rest: PositiveDuration = 60 * SECOND_US

    @property
    def cell_m(self) -> tuple[float, float, float]:
        """Edges of a cell along x, y, z."""
        given = self.resolution_m
        return given if isinstance(given, tuple) else (given, given, given)

    def cells(self, extent_m: tuple[float, float, float]) -> tuple[int, int, int]:
        """Return the number of cells along x, y, z, over a world of that extent."""
        nx, ny, nz = (
            max(1, math.ceil(length / edge * _ALMOST))
            for length, edge in zip(self.shape_m or extent_m, self.cell_m, strict=True)
        )
        return nx, ny, nz

    @property
    def step_us(self) -> int:
        """Length of a step: the whole number of microseconds next to 1 / rate_hz."""
        return max(1, round(SECOND_US / self.rate_hz))

    @property
    def publish_steps(self) -> int:
        """Steps from one publication to the next."""
        return max(1, round(self.publish / self.step_us))


class Emergence(Section):
    """The integrated information of the regions' joint dynamics.

    The world is cut into `regions` along x, y, z; the state of a region is the number of its reports in a `tick`, or the
    mean of a metric over them. A pair of states counts 1 / e after `memory`.
    """

    regions: tuple[_Count, _Count, _Count] = (3, 3, 1)
    state: str = "count"
    tick: PositiveDuration = SECOND_US
    memory: PositiveDuration = 120 * SECOND_US
