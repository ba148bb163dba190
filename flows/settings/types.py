"""What the tables of the configuration are made of: frozen, closed to unknown keys; durations and names are checked."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints

__all__ = [
    "ROOT",
    "SECOND_US",
    "Duration",
    "Name",
    "OptionalDuration",
    "PositiveDuration",
    "Section",
    "Vector",
    "duration_text",
    "located",
    "parse_duration",
]

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: where the profiles, the bundled data and the models lie."""

SECOND_US = 1_000_000
_UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": SECOND_US,
    "m": 60 * SECOND_US,
    "h": 3_600 * SECOND_US,
    "d": 86_400 * SECOND_US,
}
_LIMIT_US = 2**52  # 142 years: sums of a few durations and a time stay far from the end of int64
_DURATION = re.compile(r"(\d{1,18}(?:\.\d{1,6})?)\s*(us|ms|s|m|h|d)")
_ALLOWED = "allowed: text such as '90s', '5m', '1h', '250ms', '100us', or a number of seconds"


class Section(BaseModel):
    """A table of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def parse_duration(value: Any) -> int:
    """Return a duration in microseconds from text with a unit or from a number of seconds.

    Raises
    ------
    ValueError
        No such text, negative, longer than 142 years, or not a whole number of microseconds.

    Examples
    --------
    >>> parse_duration("250ms"), parse_duration("1.5h"), parse_duration(90)
    (250000, 5400000000, 90000000)
    """
    match = _DURATION.fullmatch(_with_unit(value))
    if match is None:
        raise ValueError(f"not a duration; {_ALLOWED}")
    exact = Decimal(match[1]) * _UNITS_US[match[2]]
    if exact != int(exact) or exact > _LIMIT_US:
        raise ValueError(f"not a whole number of microseconds up to {_LIMIT_US}; {_ALLOWED}")
    return int(exact)


def _with_unit(value: Any) -> str:
    if isinstance(value, bool):
        return ""
    text = f"{value:f}" if isinstance(value, float) else str(value).strip()
    return f"{text}s" if text[-1:].isdigit() else text


def duration_text(duration_us: int) -> str:
    """Return microseconds as the shortest text that `parse_duration` reads.

    >>> duration_text(90_000_000), duration_text(3_600_000_000), duration_text(0)
    ('90s', '1h', '0s')
    """
    if duration_us == 0:
        return "0s"
    unit = max((u for u in _UNITS_US if duration_us % _UNITS_US[u] == 0), key=_UNITS_US.__getitem__)
    return f"{duration_us // _UNITS_US[unit]}{unit}"


def _parse_optional(value: Any) -> int | None:
    return None if value is None or value == "off" else parse_duration(value)


def _optional_text(duration_us: int | None) -> str:
    return "off" if duration_us is None else duration_text(duration_us)


Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(duration_text, when_used="json")]
"""Microseconds, written with a unit."""

PositiveDuration = Annotated[Duration, Field(gt=0)]

OptionalDuration = Annotated[
    int | None, BeforeValidator(_parse_optional), PlainSerializer(_optional_text, when_used="json")
]
"""Microseconds, or None, written `off`."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=48)]
"""What a user may call a window, metric, model or column: it becomes part of column names and of `AURA_` variables."""

Vector = tuple[float, float, float]
"""x, y, z."""


def located(path: Path | str) -> Path:
    """Return where a file of the configuration lies: relative to the current folder, or else in the checkout.

    A file that is in neither is looked for here, where whoever named it is.
    """
    here = Path(path).expanduser()
    return ROOT / here if not here.exists() and (ROOT / here).exists() else here
