"""What the names of columns say: which one is meant, in which unit its numbers are, and what it is called here."""

import re
from collections.abc import Iterable

from kernels.units import to_si

__all__ = ["name_of", "named", "unit_of"]

_UNITS = {
    "mps": "m/s", "kmh": "km/h", "kph": "km/h", "kn": "kn", "knots": "kn", "kt": "kn", "mph": "mph", "deg": "deg",
    "rad": "rad", "km": "km", "m": "m", "ft": "ft", "kg": "kg", "pct": "%", "percent": "%", "s": "s",
}  # fmt: skip
_ENDINGS = {"speed": "mps", "angle": "rad", "length": "m"}  # of names, by what is measured


def named(names: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    """Return the first name that is wanted: in full, then as a part of it.

    >>> named(["MMSI", "BaseDateTime"], ("timestamp", "date_time")), named(["gps_lat"], ("lat",)), named(["late"], ("lat",))
    ('BaseDateTime', 'gps_lat', None)
    """
    plain = {_plain(name): name for name in names}
    for want in wanted:
        if want in plain:
            return plain[want]
    for want in wanted:
        for name, column in plain.items():
            if f"_{want}_" in f"_{name}_" if len(want) > 1 else name in {f"{want}_{unit}" for unit in _UNITS}:
                return column
    return None


def _plain(name: str) -> str:
    """Return a name in lower case, its words apart."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")


def unit_of(name: str) -> str:
    """Return the unit that a name ends with; 1, which is none, if it does with none.

    >>> unit_of("sog_kn"), unit_of("altitude")
    ('kn', '1')
    """
    return _UNITS.get(re.split(r"[^a-z0-9]+", name.lower())[-1], "1")


def name_of(column: str, unit: str) -> str:
    """Return what a column is called here: lower case, with the SI unit at its end.

    >>> name_of("Speed (km/h)", "1"), name_of("sog_kn", "kn")
    ('speed_km_h', 'sog_mps')
    """
    plain = _plain(column) or "value"
    ending = _ENDINGS.get(to_si(unit).dimension)
    if ending is not None and unit != "m":
        plain = f"{plain.rpartition('_')[0] or plain}_{ending}"
    return plain if plain[0].isalpha() else f"v_{plain}"
