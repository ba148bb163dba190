"""What the columns of a data file mean, guessed from their names and their first values.

    agent       a name as ids have; else the first text column
    time        a name as times have; its unit by size: seconds since 1970 have 10 digits, milliseconds 13, ...
    position    latitude and longitude, or x and y; an altitude or z, if there is one
    columns     the other numbers, their units by the endings of their names

Everything guessed stands in the file that is written, to be corrected there.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kernels.errors import ConfigError
from kernels.units import to_si
from service.column_names import name_of, named, unit_of

__all__ = ["Guess", "Metric", "guess", "nice"]

_AGENT = ("icao24", "mmsi", "agent_id", "agent", "vehicle_id", "vehicle", "device_id", "device", "robot_id", "robot",
          "ship", "truck", "taxi", "bus", "drone", "uuid", "id", "callsign", "name")  # fmt: skip
_TIME = ("timestamp", "time_us", "time", "datetime", "date_time", "event_time", "ts", "t", "date")
_LATITUDE, _LONGITUDE = ("latitude", "lat"), ("longitude", "lon", "lng", "long")
_X, _Y, _Z = ("x_m", "x", "easting", "east"), ("y_m", "y", "northing", "north"), ("z_m", "z")
_ALTITUDE = ("altitude", "alt", "height", "elevation", "geoaltitude", "baroaltitude")
_LEVEL = ("level",)
_SIZES = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (0, "s"))
_MOST_METRICS = 6
_HIGH_FT = 15_500  # metres: nothing that is tracked flies higher, so numbers beyond are feet


class Metric(NamedTuple):
    """A further column: its name here, that in the file, its unit, and its range in SI."""

    name: str
    column: str
    unit: str
    low: float
    high: float


@dataclass
class Guess:
    """What was guessed.

    Parameters
    ----------
    agent, time, time_unit
        Columns, and how times are counted.
    geographic
        Whether `position` is latitude and longitude; else x and y.
    position, position_unit, altitude, altitude_unit
        Columns and their units.
    level
        Column of the level, if there is one.
    metrics
        The further columns.
    origin, extent_m, height_m
        Middle of the positions in degrees, corners of them in the plane, and how high they reach.
    span_s
        Time between the first and the last event.
    notes
        What is not sure, in words.
    """

    agent: str
    time: str
    time_unit: str
    geographic: bool
    position: tuple[str, str]
    position_unit: str = "m"
    altitude: str | None = None
    altitude_unit: str = "m"
    level: str | None = None
    metrics: list[Metric] = field(default_factory=list)
    origin: tuple[float, float] = (0.0, 0.0)
    extent_m: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    height_m: tuple[float, float] = (0.0, 1.0)
    span_s: float = 0.0
    notes: list[str] = field(default_factory=list)


def guess(table: pa.Table) -> Guess:
    """Return what the columns of (N,) rows mean.

    Raises
    ------
    ConfigError
        There is no time, no position or no agent among them: it says which, and what was looked for.
    """
    numbers = {name: values for name in table.column_names if (values := _numbers(table[name])) is not None}
    time = named(table.column_names, _TIME)
    if time is None:
        raise _missing("time", _TIME, table)
    position, geographic = _position(table, numbers)
    agent = _agent(table, numbers, {time, *position})
    unit, span_s = _time(table, numbers, time)
    found = Guess(agent, time, unit, geographic, position, span_s=span_s)
    found.level = named(numbers, _LEVEL)
    _heights(found, numbers)
    _extent(found, numbers)
    used = {agent, time, *position, found.altitude, found.level}
    found.metrics = list(_metrics((n, v) for n, v in numbers.items() if n not in used))[:_MOST_METRICS]
    if unknown := [metric.column for metric in found.metrics if metric.unit == "1"]:
        found.notes.append(f"no unit is known of {', '.join(unknown)}: their numbers are taken as they are")
    return found


def nice(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, ... that is not below a positive value.

    >>> nice(13.0), nice(0.3), nice(50.0)
    (20.0, 0.5, 50.0)
    """
    power = 10.0 ** math.floor(math.log10(value))
    found = next(step for step in (1, 2, 5, 10) if value <= step * power * (1 + 1e-9)) * power
    return float(f"{found:g}")


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """Return a column as numbers, NaN where there is none; None if it is not one of numbers."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), pa.scalar(None, kind), column)
        try:
            column = pc.cast(pc.utf8_trim_whitespace(column), pa.float64())
        except pa.ArrowInvalid:
            return None
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return values if np.isfinite(values).any() else None


def _missing(what: str, wanted: tuple[str, ...], table: pa.Table) -> ConfigError:
    return ConfigError(
        f"no column looks like the {what}; there are {', '.join(table.column_names[:50])}",
        f"Names that are understood: {', '.join(wanted)}. Rename the column, or write [input.mapping] by hand",
    )


def _position(table: pa.Table, numbers: Mapping[str, NDArray[np.float64]]) -> tuple[tuple[str, str], bool]:
    for first, second, geographic in ((_LATITUDE, _LONGITUDE, True), (_X, _Y, False)):
        x, y = named(numbers, first), named(numbers, second)
        if x is not None and y is not None:
            return (x, y), geographic
    raise _missing("position", (*_LATITUDE[:2], *_LONGITUDE[:2], *_X[:2], *_Y[:2]), table)


def _agent(table: pa.Table, numbers: Mapping[str, NDArray[np.float64]], used: set[str]) -> str:
    found = named((name for name in table.column_names if name not in used), _AGENT)
    if found is None:
        found = next((name for name in table.column_names if name not in numbers and name not in used), None)
    if found is None:
        raise _missing("agent", _AGENT, table)
    return found


def _time(table: pa.Table, numbers: Mapping[str, NDArray[np.float64]], name: str) -> tuple[str, float]:
    """Return the unit of the times, and how many seconds they span."""
    if name in numbers:
        values = numbers[name]
        least = float(np.nanmedian(np.abs(values)))
        unit = next(unit for size, unit in _SIZES if least >= size)
        return unit, float(np.nanmax(values) - np.nanmin(values)) * to_si(unit).scale
    column = table[name]
    try:
        zone = "UTC" if getattr(column.type, "tz", None) else None
        times = pc.cast(column, pa.timestamp("us", zone))
    except pa.ArrowInvalid:
        return "iso", 0.0
    ends = pc.min_max(times).as_py()
    return "iso", (ends["max"] - ends["min"]).total_seconds() if ends["max"] is not None else 0.0


def _heights(found: Guess, numbers: Mapping[str, NDArray[np.float64]]) -> None:
    found.altitude = named(numbers, _ALTITUDE if found.geographic else (*_Z, *_ALTITUDE))
    if found.altitude is None:
        return
    values, unit = numbers[found.altitude], unit_of(found.altitude)
    if unit not in ("m", "ft", "km"):
        unit = "ft" if np.nanmax(values) > _HIGH_FT and found.geographic else "m"
        found.notes.append(f"{found.altitude} is taken to be in {unit}")
    found.altitude_unit, factor = unit, to_si(unit).scale
    found.height_m = float(np.nanmin(values)) * factor, float(np.nanmax(values)) * factor


def _extent(found: Guess, numbers: Mapping[str, NDArray[np.float64]]) -> None:
    first, second = (numbers[name] for name in found.position)
    if not found.geographic:
        found.position_unit = unit if (unit := unit_of(found.position[0])) in ("m", "km", "ft") else "m"
        factor = to_si(found.position_unit).scale
        ends = [(float(np.nanmin(v)) * factor, float(np.nanmax(v)) * factor) for v in (first, second)]
        found.extent_m = ends[0][0], ends[1][0], ends[0][1], ends[1][1]
        return
    middle = [round(float(np.nanmin(v) + np.nanmax(v)) / 2, 1) for v in (first, second)]
    found.origin = max(-84.0, min(84.0, middle[0])), middle[1]
    north_m, east_m = 111_200.0, 111_320.0 * math.cos(math.radians(found.origin[0]))
    x_m, y_m = (second - found.origin[1]) * east_m, (first - found.origin[0]) * north_m
    found.extent_m = (
        float(np.nanmin(x_m)),
        float(np.nanmin(y_m)),
        float(np.nanmax(x_m)),
        float(np.nanmax(y_m)),
    )


def _metrics(columns: Iterable[tuple[str, NDArray[np.float64]]]) -> Iterable[Metric]:
    for column, values in columns:
        unit = unit_of(column)
        factor = to_si(unit).scale
        low, high = float(np.nanmin(values)) * factor, float(np.nanmax(values)) * factor
        yield Metric(name_of(column, unit), column, unit, low, high)
