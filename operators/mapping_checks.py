"""What is wrong with a mapping in itself: units, kinds of id, levels, names; errors name the key, value and choice."""

from typing import TYPE_CHECKING

from kernels.errors import ConfigError
from kernels.schema import CANONICAL, MAX_COLUMNS, MAX_LEVEL, is_column_name
from kernels.units import TIME_UNITS, to_si
from operators.raw_ids import ID_KINDS
from operators.raw_values import ISO

if TYPE_CHECKING:
    from operators.mapping import Level, Mapping

__all__ = ["KEY", "check"]

KEY = "input.mapping"
"""Where a mapping stands in the configuration."""

_METRICS = {"energy"}  # the one canonical column that is a metric


def check(mapping: "Mapping") -> None:
    """Refuse a mapping that no source could fit.

    Raises
    ------
    ConfigError
        It names the key, the value and what is allowed.
    """
    _check_units(mapping)
    _check_kinds(mapping)
    _check_levels(mapping.level)
    _check_names(mapping)


def _check_units(mapping: "Mapping") -> None:
    if mapping.time.unit not in (*TIME_UNITS, ISO):
        allowed = ", ".join((*TIME_UNITS, ISO))
        raise ConfigError(
            f"{KEY}.time.unit = {mapping.time.unit!r}: no unit of event time; allowed: {allowed}"
        )
    further = {f"columns.{name}": (source, None) for name, source in mapping.columns.items()}
    position = {f"position.{key}": found for key, found in mapping.position.quantities.items()}
    for key, (source, dimension) in (position | further).items():
        try:
            to_si(source.unit, dimension)
        except ConfigError as error:
            raise ConfigError(f"{KEY}.{key}.unit = {source.unit!r}: {error.message}") from error


def _check_kinds(mapping: "Mapping") -> None:
    for key, source in (("agent", mapping.agent), ("cause_agent", mapping.cause_agent)):
        if source is not None and source.kind not in ID_KINDS:
            raise ConfigError(f"{KEY}.{key}.kind = {source.kind!r}: allowed: {', '.join(ID_KINDS)}")


def _check_levels(level: "int | Level") -> None:
    given = (
        {"": level}
        if isinstance(level, int)
        else {f".names.{text}": n for text, n in (level.names or {}).items()}
    )
    for key, number in given.items():
        if not 0 <= number <= MAX_LEVEL:
            raise ConfigError(f"{KEY}.level{key} = {number}: no level; allowed: 0 to {MAX_LEVEL}")


def _check_names(mapping: "Mapping") -> None:
    for table in ("columns", "derived"):
        for name in getattr(mapping, table):
            if not is_column_name(name) or name in CANONICAL.keys() - _METRICS:
                raise ConfigError(
                    f"{KEY}.{table}.{name}: no name for a metric", "Lower-case letters, digits, _; not x_m"
                )
            if table == "derived" and name in mapping.columns:
                raise ConfigError(f"{KEY}.derived.{name}: there is {KEY}.columns.{name} already")
    if len(mapping.makes) > MAX_COLUMNS:
        raise ConfigError(f"{KEY}: {len(mapping.makes)} columns, at most {MAX_COLUMNS}")
