"""The projection against geodesics on the ellipsoid, by Vincenty's direct formula (Survey Review XXIII, 1975)."""

from math import atan, atan2, cos, degrees, hypot, pi, radians, sin, sqrt, tan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import ConfigError
from kernels.projection import MAX_ORIGIN_LAT_DEG, Equirectangular

_A, _F = 6_378_137.0, 1 / 298.257223563
_B = _A * (1 - _F)
_R = 6_371_000.0
_STEEPNESS = 0.25  # tan(phi) d / R, up to which the stated bounds hold


def _travel(lat_deg: float, lon_deg: float, azimuth: float, distance_m: float) -> tuple[float, float]:
    """Return where a geodesic ends, in degrees."""
    reduced = atan((1 - _F) * tan(radians(lat_deg)))
    start, sin_alpha = atan2(tan(reduced), cos(azimuth)), cos(reduced) * sin(azimuth)
    cos2_alpha = 1 - sin_alpha**2
    u2 = cos2_alpha * (_A**2 - _B**2) / _B**2
    a = 1 + u2 / 16384 * (4096 + u2 * (-768 + u2 * (320 - 175 * u2)))
    b = u2 / 1024 * (256 + u2 * (-128 + u2 * (74 - 47 * u2)))
    sigma = distance_m / (_B * a)
    for _ in range(20):
        m = cos(2 * start + sigma)
        inner = cos(sigma) * (2 * m * m - 1) - b / 6 * m * (4 * sin(sigma) ** 2 - 3) * (4 * m * m - 3)
        sigma = distance_m / (_B * a) + b * sin(sigma) * (m + b / 4 * inner)
    sin_s, cos_s, sin_u, cos_u = sin(sigma), cos(sigma), sin(reduced), cos(reduced)
    side = sin_u * sin_s - cos_u * cos_s * cos(azimuth)
    lat = atan2(sin_u * cos_s + cos_u * sin_s * cos(azimuth), (1 - _F) * hypot(sin_alpha, side))
    turn = atan2(sin_s * sin(azimuth), cos_u * cos_s - sin_u * sin_s * cos(azimuth))
    c = _F / 16 * cos2_alpha * (4 + _F * (4 - 3 * cos2_alpha))
    correction = (1 - c) * _F * sin_alpha * (sigma + c * sin_s * (m + c * cos_s * (2 * m * m - 1)))
    return degrees(lat), lon_deg + degrees(turn - correction)


def _forward(origin: tuple[float, float], lat_deg: float, lon_deg: float) -> tuple[float, float]:
    x_m, y_m = Equirectangular(*origin).forward(np.array([lat_deg]), np.array([lon_deg]))
    return float(x_m[0]), float(y_m[0])


def _bounds(lat_deg: float, distance_m: float) -> tuple[float, float]:
    """Return the stated bounds of the error in distance and in place."""
    t, d = abs(tan(radians(lat_deg))), distance_m / _R
    higher = 0.2 * (1 + t**2) * d**2 + 0.003 * d
    return distance_m * (0.2 * t * d + higher), distance_m * (0.6 * t * d + higher)


@given(st.floats(-82, 82), st.floats(-180, 180), st.floats(0, 2 * pi), st.floats(0, 1_000_000))
def test_error_is_within_its_bounds(
    lat_deg: float, lon_deg: float, azimuth: float, distance_m: float
) -> None:
    """Distance and place are off by no more than the module says."""
    distance_m = min(distance_m, _STEEPNESS * _R / max(abs(tan(radians(lat_deg))), 1e-9))
    x_m, y_m = _forward((lat_deg, lon_deg), *_travel(lat_deg, lon_deg, azimuth, distance_m))
    in_distance, in_place = _bounds(lat_deg, distance_m)
    assert abs(hypot(x_m, y_m) - distance_m) <= in_distance + 1e-3
    assert hypot(x_m - distance_m * sin(azimuth), y_m - distance_m * cos(azimuth)) <= in_place + 1e-3


@pytest.mark.parametrize(
    ("distance_m", "in_distance", "in_place"), [(10_000, 3.5, 10.2), (200_000, 1_450, 4_150)]
)
def test_error_over_switzerland(distance_m: float, in_distance: float, in_place: float) -> None:
    """Around 46.8 N the bounds come to the metres that the module names, and some places need most of them."""
    found = []
    for azimuth in np.linspace(0, 2 * pi, 361).tolist():
        x_m, y_m = _forward((46.8, 8.2), *_travel(46.8, 8.2, azimuth, distance_m))
        off = hypot(x_m - distance_m * sin(azimuth), y_m - distance_m * cos(azimuth))
        found.append((abs(hypot(x_m, y_m) - distance_m), off))
    worst = np.max(found, axis=0)
    assert (worst <= (in_distance, in_place)).all()
    assert (worst >= np.multiply(0.85, (in_distance, in_place))).all()


def test_scale_at_the_origin() -> None:
    """At the origin a degree is as long as on the ellipsoid, east and north."""
    phi = radians(46.8)
    w = sqrt(1 - _F * (2 - _F) * sin(phi) ** 2)
    x_m, y_m = _forward((46.8, 8.2), 46.8 + 1, 8.2 + 1)
    assert x_m == pytest.approx(radians(_A / w * cos(phi)), abs=1e-6)
    assert y_m == pytest.approx(radians(_A * (1 - _F) ** 2 / w**3), abs=1e-6)


@given(st.floats(-180, 180), st.floats(-1, 1))
def test_antimeridian(origin_lon: float, east_deg: float) -> None:
    """A place is as far east of the origin whether its longitude is counted from -180, from 0, or beyond."""
    lon_deg = origin_lon + east_deg
    x_m = [_forward((10.0, origin_lon), 10.0, lon_deg + turn)[0] for turn in (-360.0, 0.0, 360.0)]
    assert x_m == pytest.approx([x_m[1]] * 3, abs=1e-6)
    assert abs(x_m[1]) < 110_000


@given(st.floats(-85, 85), st.floats(-180, 180), st.floats(-9e5, 9e5), st.floats(-9e5, 9e5))
def test_inverse(lat_deg: float, lon_deg: float, x_m: float, y_m: float) -> None:
    """The inverse leads back to the same point, and its longitudes are in -180 to 180."""
    projection = Equirectangular(lat_deg, lon_deg)
    lat, lon = projection.inverse(np.array([x_m]), np.array([y_m]))
    assert abs(lon[0]) <= 180
    back = projection.forward(lat, lon)
    assert (back[0][0], back[1][0]) == pytest.approx((x_m, y_m), abs=1e-5)


def test_same_bits_as_plain_arithmetic() -> None:
    """Coordinates are one subtraction and one multiplication in float64, so that any language gives the same bits."""
    projection = Equirectangular(46.8, 8.2)
    rng = np.random.default_rng(3)
    lat, lon = rng.uniform(45, 48, 1000), rng.uniform(5, 11, 1000)
    x_m, y_m = projection.forward(lat, lon)
    east_m, north_m = 76339.339554, 111166.939494
    assert x_m.tolist() == [(degree - 8.2) * east_m for degree in lon.tolist()]
    assert y_m.tolist() == [(degree - 46.8) * north_m for degree in lat.tolist()]


def test_missing_stays_missing() -> None:
    """A place without a latitude or longitude has no coordinate on that axis."""
    x_m, y_m = Equirectangular(0.0, 0.0).forward(np.array([np.nan, 1.0]), np.array([1.0, np.nan]))
    assert np.isnan(x_m).tolist() == [False, True]
    assert np.isnan(y_m).tolist() == [True, False]


@pytest.mark.parametrize(
    "origin", [(MAX_ORIGIN_LAT_DEG + 0.1, 0.0), (-90.0, 0.0), (0.0, 181.0), (float("nan"), 0.0)]
)
def test_origin_out_of_range(origin: tuple[float, float]) -> None:
    """An origin that is off the Earth or near a pole is refused with what is allowed."""
    with pytest.raises(ConfigError, match=r"the origin's l\w+ is .*, expected -\d+ to \d+ degrees"):
        Equirectangular(*origin)
