"""Units against figures from their definitions, and event time against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import ConfigError
from kernels.units import TIME_UNITS, convert, real_to_us, to_si, whole_to_us

_US_PER = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": Fraction(1, 1_000)}
_KNOWN = [
    ("ft", 35_000, 10_668.0),
    ("NM", 1, 1852.0),
    ("mi", 1, 1609.344),
    ("kn", 100, 51.444444444444),
    ("km/h", 36, 10.0),
    ("ft/min", -16_512, -83.88096),
    ("mph", 60, 26.8224),
    ("deg", 180, np.pi),
    ("rpm", 60, 2 * np.pi),
    ("degC", -273.15, 0.0),
    ("degF", 212, 373.15),
    ("hPa", 1013.25, 101_325.0),
    ("kWh", 1, 3.6e6),
    ("g", 1, 9.80665),
    ("%", 5, 0.05),
    ("min", 2, 120.0),
    ("1", 7, 7.0),
]


@pytest.mark.parametrize(("unit", "value", "si"), _KNOWN)
def test_known_values(unit: str, value: float, si: float) -> None:
    """A value in a unit is what the unit's definition says in SI."""
    assert convert(np.array([float(value)]), to_si(unit)) == pytest.approx([si], rel=1e-12, abs=1e-12)


def test_missing_stays_missing() -> None:
    """NaN has no value in any unit."""
    assert np.isnan(convert(np.array([np.nan]), to_si("degF"))).all()


def test_unit_in_si_changes_nothing() -> None:
    """A value that is in SI already keeps its bits."""
    values = np.random.default_rng(1).normal(size=100)
    assert all(
        convert(values, to_si(unit)).tobytes() == values.tobytes() for unit in ("1", "m", "m/s", "rad", "K")
    )


def test_unknown_unit() -> None:
    """An unknown unit is refused with the closest one and all that are allowed."""
    with pytest.raises(ConfigError, match=r"'km/hr' is no unit; did you mean 'km/h'\?; allowed: 1, %, s, ms"):
        to_si("km/hr")


def test_unit_of_another_dimension() -> None:
    """A unit that measures something else is refused with those that would do."""
    with pytest.raises(
        ConfigError, match=r"'kn' is a unit of speed, expected one of length.*allowed: m, km, cm"
    ):
        to_si("kn", "length")


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.sampled_from(TIME_UNITS))
def test_whole_times_are_exact(values: list[int], unit: str) -> None:
    """A whole time is the exact number of microseconds, halves to even, or said not to fit."""
    us, fits = whole_to_us(np.array(values, np.int64), unit)
    exact = [round(value * Fraction(_US_PER[unit])) for value in values]
    assert fits.tolist() == [abs(value) < 2**63 for value in exact] or unit == "us"
    assert us.tolist() == [value if fit else 0 for value, fit in zip(exact, fits.tolist(), strict=True)]


@given(st.lists(st.floats(-1e13, 1e13)), st.sampled_from(TIME_UNITS))
def test_real_times_are_rounded_once(values: list[float], unit: str) -> None:
    """A floating-point time is scaled in float64 and rounded to the nearest microsecond, halves to even."""
    us, fits = real_to_us(np.array(values), unit)
    scaled = [value / 1_000 if unit == "ns" else value * _US_PER[unit] for value in values]
    within = [abs(value) < 2**63 for value in scaled]
    assert fits.tolist() == within
    assert us.tolist() == [round(value) if fit else 0 for value, fit in zip(scaled, within, strict=True)]


def test_no_time_fits_nowhere() -> None:
    """NaN, infinity and what passes the end of int64 do not fit."""
    _, fits = real_to_us(np.array([np.nan, np.inf, -np.inf, 1e300, 2.0**63]), "us")
    assert not fits.any()
