"""Units to SI: what a source's numbers are multiplied by, and event time to whole microseconds.

    value in SI = value * scale + offset      in float64, one rounding for each operation

A unit has one name, given in the table below. Event time is never taken through floating point where the source has
integers: a multiple of a microsecond stays exact, a part of one is rounded to the nearest, ties to even.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from math import pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError

__all__ = ["TIME_UNITS", "Unit", "convert", "real_to_us", "to_si", "whole_to_us"]


class Unit(NamedTuple):
    """A unit in terms of the SI unit of its dimension."""

    scale: float
    offset: float
    dimension: str


# Scales are exact by definition of the unit, or the quotient of two numbers that are.
_SCALES: Mapping[str, Mapping[str, float]] = {
    "plain": {"1": 1.0, "%": 0.01},
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0, "d": 86_400.0},
    "length": {"m": 1.0, "km": 1e3, "cm": 1e-2, "mm": 1e-3, "ft": 0.3048, "mi": 1609.344, "NM": 1852.0},
    "speed": {
        "m/s": 1.0, "km/h": 1 / 3.6, "kn": 1852 / 3600, "mph": 1609.344 / 3600, "ft/s": 0.3048, "ft/min": 0.3048 / 60,
    },
    "acceleration": {"m/s2": 1.0, "ft/s2": 0.3048, "g": 9.80665},
    "angle": {"rad": 1.0, "deg": pi / 180, "turn": 2 * pi},
    "angular speed": {"rad/s": 1.0, "deg/s": pi / 180, "rpm": 2 * pi / 60},
    "mass": {"kg": 1.0, "lb": 0.453_592_37, "t": 1e3},
    "temperature": {"K": 1.0, "degC": 1.0, "degF": 5 / 9},
    "pressure": {"Pa": 1.0, "hPa": 100.0, "bar": 1e5, "psi": 6894.757_293_168},
    "energy": {"J": 1.0, "kJ": 1e3, "MJ": 1e6, "Wh": 3600.0, "kWh": 3.6e6},
    "specific energy": {"J/kg": 1.0, "kJ/kg": 1e3},
    "power": {"W": 1.0, "kW": 1e3, "MW": 1e6},
}  # fmt: skip
_OFFSETS = {"degC": 273.15, "degF": 459.67 * 5 / 9}
_UNITS = {
    name: Unit(scale, _OFFSETS.get(name, 0.0), dimension)
    for dimension, scales in _SCALES.items()
    for name, scale in scales.items()
}

_US_PER: Mapping[str, int] = {"s": 1_000_000, "ms": 1_000, "us": 1}
TIME_UNITS = (*_US_PER, "ns")
"""The units that event time may be counted in, since the Unix epoch, UTC."""

_PAST_INT64 = 2.0**63


def to_si(unit: str, dimension: str | None = None) -> Unit:
    """Return the scale, offset and dimension of a unit.

    Parameters
    ----------
    unit
        Its name.
    dimension
        What it must measure; None: anything.

    Raises
    ------
    ConfigError
        No such unit, or it measures something else.

    >>> to_si("km")
    Unit(scale=1000.0, offset=0.0, dimension='length')
    """
    allowed = [name for name, known in _UNITS.items() if dimension in {None, known.dimension}]
    if unit in allowed:
        return _UNITS[unit]
    close = "".join(f"; did you mean {name!r}?" for name in get_close_matches(unit, allowed, n=1))
    what = f"{unit!r} is a unit of {_UNITS[unit].dimension}" if unit in _UNITS else f"{unit!r} is no unit"
    wanted = f", expected one of {dimension}" if dimension else ""
    raise ConfigError(f"{what}{wanted}{close}; allowed: {', '.join(allowed)}")


def convert(values: NDArray[np.float64], unit: Unit) -> NDArray[np.float64]:
    """Return (N,) values of `unit` in SI; NaN stays NaN.

    >>> convert(np.array([36.0, np.nan]), to_si("km/h")).tolist()
    [10.0, nan]
    """
    scaled = values * unit.scale
    return scaled + unit.offset if unit.offset else scaled


def whole_to_us(values: NDArray[np.int64], unit: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (N,) integer times as microseconds, exact, and which of them fit; the others are 0.

    >>> whole_to_us(np.array([1500, 2500, 2**62]), "ns")[0].tolist(), whole_to_us(np.array([2**62]), "s")[1].tolist()
    ([2, 2, 4611686018427388], [False])
    """
    if unit == "ns":
        us, rest = np.divmod(values, 1_000)
        return us + ((rest > 500) | ((rest == 500) & (us % 2 == 1))), np.ones(len(values), np.bool_)
    limit = np.iinfo(np.int64).max // _US_PER[unit]
    fits = (values >= -limit) & (values <= limit)
    return np.where(fits, values, 0) * _US_PER[unit], fits


def real_to_us(values: NDArray[np.float64], unit: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (N,) floating-point times as microseconds, rounded to nearest, and which of them fit; the others are 0.

    NaN and infinity do not fit.

    >>> real_to_us(np.array([1.25, np.nan]), "ms")[0].tolist(), real_to_us(np.array([0.5, 1.5]), "us")[0].tolist()
    ([1250, 0], [0, 2])
    """
    with np.errstate(over="ignore"):
        us = np.rint(values / 1_000 if unit == "ns" else values * _US_PER[unit])
    fits = np.abs(us) < _PAST_INT64
    return np.where(fits, us, 0.0).astype(np.int64), fits
