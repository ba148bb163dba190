"""The population: what is simulated, and the limits that its use is held against."""

from typing import Annotated, Literal

from pydantic import Field

from flows.settings.types import SECOND_US, PositiveDuration, Section

__all__ = ["Limits", "Monitoring", "Resources", "Simulate"]

_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]
_Fraction = Annotated[float, Field(ge=0, le=1)]


class Simulate(Section):
    """A seeded population over the seven levels; `exponential` puts a tenth of each level into the next.

    With `coupling` 0 every agent goes its own way; towards 1 flocks draw together, align, and follow one another.
    """

    agents: Annotated[int, Field(ge=1, le=2**32)] = 1_000
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 1
    partitions: _Count | None = None
    tick: PositiveDuration = SECOND_US // 10
    duration: PositiveDuration = 60 * SECOND_US
    levels: Literal["exponential"] = "exponential"
    coupling: _Fraction = 0.1


class Resources(Section):
    """What a run may use."""

    memory_gib: _Positive = 8
    cores: _Count = 2
    gpus: tuple[Annotated[int, Field(ge=0)], ...] = ()
    parallelism: _Count = 2


class Limits(Section):
    """What use is held against; `agents`, if set, in equal shares per partition: events of more go to the dead letters."""

    agents: _Count | None = None
    memory_gib: _Positive = 128
    compute_tflops: _Positive = 1_000


class Monitoring(Section):
    """How often use is held against the limits, and at which share of one an alert goes out."""

    interval_ms: _Count = 100
    alert_at: Annotated[float, Field(gt=0, le=1)] = 0.9
