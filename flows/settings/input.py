"""What comes in: the source, its partitions and batches, and which of its columns mean what."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from flows.settings.types import Name, Section
from kernels.schema import MAX_LEVEL
from operators import mapping, positions

__all__ = ["ColumnMapping", "Input"]


def _plain_or_table(value: Any) -> str:
    return "table" if isinstance(value, dict | Section) else "plain"


class Quantity(Section):
    """A column of numbers and their unit."""

    column: str
    unit: str = "1"

    def to_quantity(self) -> positions.Quantity:
        """Return the operator's quantity."""
        return positions.Quantity(self.column, self.unit)


class IdColumn(Section):
    """A column of ids; `kind` says how they are read (`operators.raw_ids`)."""

    column: str
    kind: Literal["auto", "text", "integer"] = "auto"


class TimeColumn(Section):
    """A column of times, counted from the Unix epoch in UTC, or `iso` for text, timestamps and dates."""

    column: str
    unit: Literal["s", "ms", "us", "ns", "iso"]


class LevelColumn(Section):
    """A column of levels, or of texts that `names` gives a level."""

    column: str
    names: dict[str, Annotated[int, Field(ge=0, le=MAX_LEVEL)]] | None = None


# A table in full, or short for it: a column's name (an angle is then in degrees), or the level of all.
_Id = Annotated[
    Annotated[str, Tag("plain")] | Annotated[IdColumn, Tag("table")], Discriminator(_plain_or_table)
]
_Angle = Annotated[
    Annotated[str, Tag("plain")] | Annotated[Quantity, Tag("table")], Discriminator(_plain_or_table)
]
_Level = Annotated[
    Annotated[int, Field(ge=0, le=MAX_LEVEL), Tag("plain")] | Annotated[LevelColumn, Tag("table")],
    Discriminator(_plain_or_table),
]


class Geographic(Section):
    """Position in degrees, projected around an origin (latitude, longitude); without an altitude all are at 0."""

    kind: Literal["geographic"]
    latitude: _Angle
    longitude: _Angle
    altitude: Quantity | None = None
    origin: tuple[Annotated[float, Field(ge=-90, le=90)], Annotated[float, Field(ge=-180, le=180)]]

    def to_position(self) -> positions.Geographic:
        """Return the operator's position."""
        altitude = None if self.altitude is None else self.altitude.to_quantity()
        return positions.Geographic(_angle(self.latitude), _angle(self.longitude), altitude, self.origin)


class Planar(Section):
    """Position along the axes of the world; without z all are at 0."""

    kind: Literal["planar"]
    x: Quantity
    y: Quantity
    z: Quantity | None = None

    def to_position(self) -> positions.Planar:
        """Return the operator's position."""
        z = None if self.z is None else self.z.to_quantity()
        return positions.Planar(self.x.to_quantity(), self.y.to_quantity(), z)


class ColumnMapping(Section):
    """Which column of the source is the agent, the time, the position, and what more is taken from it."""

    agent: _Id
    time: TimeColumn
    position: Annotated[Geographic | Planar, Field(discriminator="kind")]
    seq: str | None = None
    level: _Level = 0
    cause_agent: _Id | None = None
    cause_seq: str | None = None
    columns: dict[Name, Quantity] = Field(default_factory=dict)
    derived: dict[Name, str] = Field(default_factory=dict)

    def to_mapping(self) -> mapping.Mapping:
        """Return the operator's mapping; ConfigError where a unit, name or expression cannot be used."""
        level = self.level
        return mapping.Mapping(
            agent=_id(self.agent),
            time=mapping.Time(self.time.column, self.time.unit),
            position=self.position.to_position(),
            seq=self.seq,
            level=level if isinstance(level, int) else mapping.Level(level.column, level.names),
            cause_agent=None if self.cause_agent is None else _id(self.cause_agent),
            cause_seq=self.cause_seq,
            columns={name: source.to_quantity() for name, source in self.columns.items()},
            derived=self.derived,
        )


def _id(given: str | IdColumn) -> mapping.Id:
    return mapping.Id(given) if isinstance(given, str) else mapping.Id(given.column, given.kind)


def _angle(given: str | Quantity) -> positions.Quantity:
    return positions.Quantity(given, "deg") if isinstance(given, str) else given.to_quantity()


class Input(Section):
    """The source (`kafka`, `simulate`, or a file) and how it is read; without a mapping its columns are canonical."""

    source: Annotated[str, Field(min_length=1)] = "kafka"
    partitions: Annotated[int, Field(ge=1, le=1024)] = 8
    batch_rows: Annotated[int, Field(ge=1024, le=65_536)] = 32_768
    as_is: bool = False
    # Seconds of event time in a second, of a file or of the simulator; without it as fast as it goes.
    speed: Annotated[float, Field(gt=0)] | None = None
    # Further columns of a source without a mapping, beside the canonical ones and the metrics.
    columns: tuple[Name, ...] = ()
    mapping: ColumnMapping | None = None
