"""Latitude and longitude to metres on a plane that touches the WGS-84 ellipsoid at an origin, and back.

    x_m = (longitude - origin longitude) * metres per degree along the origin's parallel     east
    y_m = (latitude - origin latitude) * metres per degree along the origin's meridian       north

with the radii of curvature of the ellipsoid at the origin (NIMA TR8350.2, 2000, section 4):

    M = a (1 - e2) / w**3      N = a / w      w**2 = 1 - e2 sin(phi)**2

What an event costs is a subtraction and a multiplication an axis, so every CPU gives the same bits; sine and cosine are
taken once, of the origin, and the metres per degree are rounded to whole micrometres, which is far more than math
libraries differ by and moves a place 200 km away by 2 micrometres.

How far off: all parallels are as long as the origin's here, though they shorten toward the pole. With t = |tan(phi)|
of the origin, R = 6,371 km, and d metres from the origin, as long as t d / R is at most 1/4,

    the distance from the origin is off by at most  d (0.2 t d/R + 0.2 (1 + t**2) (d/R)**2 + 0.003 d/R)
    a place is off by at most                       d (0.6 t d/R + 0.2 (1 + t**2) (d/R)**2 + 0.003 d/R)

where a place is compared to the azimuthal projection, which keeps distance and direction from the origin. From 46.8 N
that is 3.4 m and 10 m at 10 km, and 1.4 km and 4.1 km at 200 km. (0.193 and 0.577 are the worst cases to first order;
the last term is the flattening. The tests hold both against Vincenty's geodesics.)
"""

from dataclasses import dataclass, field
from math import cos, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError

__all__ = ["MAX_ORIGIN_LAT_DEG", "Equirectangular"]

MAX_ORIGIN_LAT_DEG = 85.0  # beyond it the parallels shorten by 1 % every 6 km, and at a pole there are none

_SEMI_MAJOR_M = 6_378_137.0
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY2 = _FLATTENING * (2 - _FLATTENING)

Degrees = NDArray[np.float64]
Metres = NDArray[np.float64]


@dataclass(frozen=True)
class Equirectangular:
    """The projection around an origin.

    Parameters
    ----------
    origin_lat, origin_lon
        Degrees, WGS 84.

    Raises
    ------
    ConfigError
        The origin is not on the Earth, or too near a pole.

    Examples
    --------
    >>> swiss = Equirectangular(46.8, 8.2)
    >>> x_m, y_m = swiss.forward(np.array([46.8, 46.9]), np.array([8.3, 8.2]))
    >>> x_m.round().tolist(), y_m.round().tolist()
    ([7634.0, 0.0], [0.0, 11117.0])
    """

    origin_lat: float
    origin_lon: float
    _east_m: float = field(init=False, repr=False, compare=False)
    _north_m: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not abs(self.origin_lat) <= MAX_ORIGIN_LAT_DEG:
            limit = f"-{MAX_ORIGIN_LAT_DEG:g} to {MAX_ORIGIN_LAT_DEG:g}"
            raise ConfigError(f"the origin's latitude is {self.origin_lat}, expected {limit} degrees")
        if not abs(self.origin_lon) <= 180:
            raise ConfigError(f"the origin's longitude is {self.origin_lon}, expected -180 to 180 degrees")
        phi = radians(self.origin_lat)
        w2 = 1 - _ECCENTRICITY2 * sin(phi) ** 2
        prime_vertical_m = _SEMI_MAJOR_M / sqrt(w2)
        meridian_m = prime_vertical_m * (1 - _ECCENTRICITY2) / w2
        object.__setattr__(self, "_east_m", round(radians(prime_vertical_m * cos(phi)), 6))
        object.__setattr__(self, "_north_m", round(radians(meridian_m), 6))

    def forward(self, lat_deg: Degrees, lon_deg: Degrees) -> tuple[Metres, Metres]:
        """Return x_m, y_m of (N,) places; NaN gives NaN.

        Longitudes may be counted from -180 or from 0: each is taken the short way round from the origin.
        """
        east_deg = lon_deg - self.origin_lon
        east_deg -= 360.0 * np.rint(east_deg / 360.0)
        return east_deg * self._east_m, (lat_deg - self.origin_lat) * self._north_m

    def inverse(self, x_m: Metres, y_m: Metres) -> tuple[Degrees, Degrees]:
        """Return the degrees of (N,) points, longitudes in -180 to 180."""
        lon_deg = x_m / self._east_m + self.origin_lon
        lon_deg -= 360.0 * np.rint(lon_deg / 360.0)
        return y_m / self._north_m + self.origin_lat, lon_deg
