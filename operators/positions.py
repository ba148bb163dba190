"""Where an event is: the columns of a planar or a geographic position, as metres in the world's frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.projection import Equirectangular
from kernels.units import convert, to_si

__all__ = ["Geographic", "Place", "Planar", "Quantity"]

Real = NDArray[np.float64]

_LARGEST_M = float(np.finfo(np.float32).max)
_MAX_LAT_DEG, _MAX_LON_DEG = 90.0, 360.0  # longitudes are counted from -180 or from 0


@dataclass(frozen=True)
class Quantity:
    """A column of numbers and their unit."""

    column: str
    unit: str = "1"


class Place(NamedTuple):
    """(N,) coordinates, NaN where one is missing, and where they are out of range."""

    x_m: Real
    y_m: Real
    z_m: Real
    outside: NDArray[np.bool_]


@dataclass(frozen=True)
class Planar:
    """Coordinates along the axes of the world; without z all are at 0."""

    x: Quantity
    y: Quantity
    z: Quantity | None = None

    @property
    def quantities(self) -> dict[str, tuple[Quantity, str]]:
        """The columns by key, each with the dimension that its unit must have."""
        given = {"x": self.x, "y": self.y, "z": self.z}
        return {key: (source, "length") for key, source in given.items() if source is not None}

    def place(self, values: Mapping[str, Real]) -> Place:
        """Return the coordinates of N rows, from the values of the columns by key."""
        x_m, y_m = _metres(self.x, values["x"]), _metres(self.y, values["y"])
        z_m = np.zeros(len(x_m)) if self.z is None else _metres(self.z, values["z"])
        return _in_range(x_m, y_m, z_m, np.zeros(len(x_m), np.bool_))


@dataclass(frozen=True)
class Geographic:
    """Latitude and longitude, projected around an origin (degrees); without an altitude all are at 0.

    Raises
    ------
    ConfigError
        The origin is not on the Earth, or too near a pole.
    """

    latitude: Quantity
    longitude: Quantity
    altitude: Quantity | None
    origin: tuple[float, float]
    _projection: Equirectangular = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_projection", Equirectangular(*self.origin))

    @property
    def quantities(self) -> dict[str, tuple[Quantity, str]]:
        """The columns by key, each with the dimension that its unit must have."""
        angles = {"latitude": (self.latitude, "angle"), "longitude": (self.longitude, "angle")}
        return angles | ({} if self.altitude is None else {"altitude": (self.altitude, "length")})

    def place(self, values: Mapping[str, Real]) -> Place:
        """Return the coordinates of N rows, from the values of the columns by key."""
        lat_deg = _degrees(self.latitude, values["latitude"])
        lon_deg = _degrees(self.longitude, values["longitude"])
        x_m, y_m = self._projection.forward(lat_deg, lon_deg)
        z_m = np.zeros(len(x_m)) if self.altitude is None else _metres(self.altitude, values["altitude"])
        return _in_range(x_m, y_m, z_m, (np.abs(lat_deg) > _MAX_LAT_DEG) | (np.abs(lon_deg) > _MAX_LON_DEG))


def _metres(source: Quantity, values: Real) -> Real:
    return convert(values, to_si(source.unit))


def _degrees(source: Quantity, values: Real) -> Real:
    return values * (to_si(source.unit).scale / to_si("deg").scale)  # times 1 where they are degrees


def _in_range(x_m: Real, y_m: Real, z_m: Real, outside: NDArray[np.bool_]) -> Place:
    large = [np.abs(metres) > _LARGEST_M for metres in (x_m, y_m, z_m)]
    return Place(x_m, y_m, z_m, large[0] | large[1] | large[2] | outside)
