"""What is computed: the world and its cells, the metrics, event time, windows and models."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from flows.settings.types import SECOND_US, Duration, OptionalDuration, PositiveDuration, Section, Vector
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.panes import Window
from kernels.sessions import SessionWindow

__all__ = [
    "Aggregate",
    "AnyWindow",
    "EventTime",
    "MetricRange",
    "Model",
    "SessionSettings",
    "WindowSettings",
    "World",
]

Aggregate = Literal["count", "agents", "sum", "mean", "min", "max", "var"]
SessionAggregate = Literal["count", "sum", "mean", "min", "max", "var"]

_ALMOST = 1 - 1e-12  # 1.1 / 0.1 is 11.000000000000002, and that is no twelfth cell
_Edge = Annotated[float, Field(gt=0)]


class World(Section):
    """The box that the agents live in, cut into cells."""

    min_m: Vector
    max_m: Vector
    cell_m: tuple[_Edge, _Edge, _Edge]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells along x, y, z."""
        nx, ny, nz = (
            math.ceil((high - low) / cell * _ALMOST)
            for low, high, cell in zip(self.min_m, self.max_m, self.cell_m, strict=True)
        )
        return nx, ny, nz

    def to_grid(self) -> Grid:
        """Return the kernel's grid."""
        return Grid(self.min_m, self.cell_m, self.shape)


class MetricRange(Section):
    """A metric's range and the steps it is counted in; a value outside the range is a dead letter."""

    resolution: Annotated[float, Field(gt=0)]
    low: float
    high: float

    def to_metric(self, name: str) -> Metric:
        """Return the kernel's metric; ConfigError where exact sums of squares could overflow."""
        return Metric(name, self.resolution, self.low, self.high)


class EventTime(Section):
    """How far an event's time may lie from what is known.

    `max_jump` bounds one step of a partition's running maximum, `future` the distance ahead of the broker's time. A
    partition is idle after `idle_timeout`; what it brings then still counts in windows closed up to `horizon` before.
    """

    lateness: Duration = 30 * SECOND_US
    max_jump: OptionalDuration = None
    future: OptionalDuration = 600 * SECOND_US
    idle_timeout: OptionalDuration = 30 * SECOND_US
    horizon: PositiveDuration = 3600 * SECOND_US
    dedup: bool = False


class WindowSettings(Section):
    """A window over event time; without a slide it is tumbling, without a lateness it has that of `event_time`."""

    kind: Literal["cells"] = "cells"
    length: PositiveDuration
    slide: PositiveDuration = Field(default_factory=lambda table: table["length"])
    lateness: Duration = 30 * SECOND_US  # flows.settings.root puts in event_time.lateness
    aggregates: Annotated[tuple[Aggregate, ...], Field(min_length=1)]

    def to_window(self, name: str, *, agents: bool = False) -> Window:
        """Return the kernel's window; with `agents` it counts distinct ones even if it does not publish them."""
        return Window(
            name, self.length, self.slide, self.lateness, agents=agents or "agents" in self.aggregates
        )


class SessionSettings(Section):
    """A session window: events of one agent that are closer than `gap` belong together."""

    kind: Literal["session"]
    gap: PositiveDuration
    lateness: Duration = 30 * SECOND_US  # as above
    aggregates: Annotated[tuple[SessionAggregate, ...], Field(min_length=1)]

    def to_window(self, name: str) -> SessionWindow:
        """Return the kernel's session window."""
        return SessionWindow(name, self.gap, self.lateness)


def _kind(table: Any) -> Any:
    return table.get("kind", "cells") if isinstance(table, Mapping) else getattr(table, "kind", "cells")


AnyWindow = Annotated[
    Annotated[WindowSettings, Tag("cells")] | Annotated[SessionSettings, Tag("session")], Discriminator(_kind)
]
"""A table of `windows`: over cells, where it does not say otherwise."""


class Model(Section):
    """An ONNX model with the hash it must have, for events or for (window, cell) rows."""

    path: Path
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    role: Literal["event", "cell"]
    threshold: float | None = None
