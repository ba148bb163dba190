"""What comes in: the source, its partitions and batches, and which of its columns mean what."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from flows.settings.types import Name, Section
from kernels.schema import MAX_LEVEL, MAX_RECORD_BYTES

__all__ = ["ColumnMapping", "Input"]

_Latitude = Annotated[float, Field(ge=-90, le=90)]
_Longitude = Annotated[float, Field(ge=-180, le=180)]


class Quantity(Section):
    """A column of the source and the unit of its values."""

    column: str
    unit: str = "1"


class LevelColumn(Section):
    """A column of the source that holds the level."""

    column: str


class Geographic(Section):
    """Position in degrees, projected around an origin."""

    kind: Literal["geographic"]
    latitude: str
    longitude: str
    altitude: Quantity
    origin: tuple[_Latitude, _Longitude]


class Planar(Section):
    """Position along the axes of the world."""

    kind: Literal["planar"]
    x: Quantity
    y: Quantity
    z: Quantity


_Level = Annotated[
    Annotated[int, Field(ge=0, le=MAX_LEVEL), Tag("constant")] | Annotated[LevelColumn, Tag("column")],
    Discriminator(lambda level: "column" if isinstance(level, dict | LevelColumn) else "constant"),
]


class ColumnMapping(Section):
    """Which column of the source is the agent, the time, the position, and what more is taken from it."""

    agent: str
    time: Quantity
    seq: str | None = None
    level: _Level = 0
    position: Annotated[Geographic | Planar, Field(discriminator="kind")]
    columns: dict[Name, Quantity] = Field(default_factory=dict)
    derived: dict[Name, str] = Field(default_factory=dict)


class Input(Section):
    """The source (`kafka`, `simulate`, or a file) and how it is read; without a mapping its columns are canonical."""

    source: Annotated[str, Field(min_length=1)] = "kafka"
    partitions: Annotated[int, Field(ge=1, le=1024)] = 8
    batch_rows: Annotated[int, Field(ge=1024, le=65_536)] = 32_768
    as_is: bool = False
    max_record_bytes: Annotated[int, Field(ge=1024, le=MAX_RECORD_BYTES)] = MAX_RECORD_BYTES
    mapping: ColumnMapping | None = None
