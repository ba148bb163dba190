"""The columns of an event: their names, their exact types, which are required, and how large a record may be.

Whatever reads or writes events takes names, types and limits from here. A record is one Kafka value: a frame
(`kernels.frame`) or rows (`kernels.rows`).
"""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.errors import BadRecord

__all__ = [
    "CANONICAL",
    "FURTHER",
    "MAX_COLUMNS",
    "MAX_LEVEL",
    "MAX_RECORD_BYTES",
    "MAX_RECORD_EVENTS",
    "MAX_TEXT_BYTES",
    "POSITION",
    "RANGES",
    "REQUIRED",
    "Columns",
    "check_names",
    "column_dtype",
    "is_column_name",
    "no_values",
]

Columns = dict[str, NDArray[Any]]
"""Name -> values: one-dimensional, all of one length N, each of the type that `column_dtype` gives."""

CANONICAL: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "agent_id": np.dtype("<u8"),  # stable id; text ids are hashed by kernels.hashing.hash_text
        "time_us": np.dtype("<i8"),  # event time, microseconds since the Unix epoch, UTC
        "seq": np.dtype("<u4"),  # the agent's own counter; 0: none
        "x_m": np.dtype("<f4"),
        "y_m": np.dtype("<f4"),
        "z_m": np.dtype("<f4"),
        "level": np.dtype("u1"),  # 0 to MAX_LEVEL
        "energy": np.dtype("<f4"),  # J/kg for a flight
        "cause_agent": np.dtype("<u8"),  # with cause_seq: the event that this one follows from
        "cause_seq": np.dtype("<u4"),
    }
)
FURTHER: np.dtype[Any] = np.dtype("<f4")  # every column beyond the canonical ones; NaN is null

POSITION = ("x_m", "y_m", "z_m")
REQUIRED = ("agent_id", "time_us", *POSITION)
MAX_LEVEL = 6  # the hierarchy has seven levels, 0 to 6

_INTEGERS = [(name, np.iinfo(dtype)) for name, dtype in CANONICAL.items() if dtype.kind in "iu"]
RANGES: Mapping[str, range] = MappingProxyType(
    {name: range(info.min, info.max + 1) for name, info in _INTEGERS} | {"level": range(MAX_LEVEL + 1)}
)
"""Integer column -> the values it may have."""

MAX_COLUMNS = 64
MAX_RECORD_EVENTS = 65_536
MAX_RECORD_BYTES = 8 * 1024 * 1024  # what topics and brokers are set to allow
MAX_TEXT_BYTES = 255  # of a text id in UTF-8: room for any call sign or UUID, too little to fill memory with

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def column_dtype(name: str) -> np.dtype[Any]:
    """Return the exact type of the values of column `name`.

    >>> column_dtype("time_us").str, column_dtype("speed_mps").str
    ('<i8', '<f4')
    """
    return CANONICAL.get(name, FURTHER)


def no_values(name: str, size: int) -> NDArray[Any]:
    """Return (size,) of column `name` for events that lack it: NaN, which is no value; 0 in a column of integers.

    >>> no_values("seq", 2).tolist(), no_values("energy", 1).tolist()
    ([0, 0], [nan])
    """
    dtype = column_dtype(name)
    return np.full(size, np.nan if dtype.kind == "f" else 0, dtype)


def is_column_name(name: str) -> bool:
    """Tell whether `name` can name a column: lower-case letters, digits and underscores, 63 at most."""
    return _NAME.fullmatch(name) is not None


def check_names(names: Collection[str]) -> None:
    """Refuse a set of columns that is too large, misnamed or without a required one.

    Raises
    ------
    BadRecord
        `too_large` or `columns`.
    """
    if len(names) > MAX_COLUMNS:
        raise BadRecord("too_large", f"{len(names)} columns, at most {MAX_COLUMNS}")
    for name in names:
        if name not in CANONICAL and not is_column_name(name):
            raise BadRecord("columns", f"column name {name[:80]!r}, expected [a-z][a-z0-9_]{{0,62}}")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise BadRecord("columns", f"required columns missing: {', '.join(missing)}")
