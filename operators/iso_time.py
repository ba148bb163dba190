"""Times as text, ISO 8601's extended form: 2018-08-01, 2018-08-01T05:00, 2018-08-01 05:00:00.123456Z, ...+02:00.

Without a zone a time is UTC. A fraction has up to 9 digits, what is less than a microsecond is rounded to the nearest,
ties to even. Leap seconds, 24:00, week dates and the form without dashes are no times.
"""

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kernels.units import whole_to_us

__all__ = ["parse_iso"]

_HOUR, _SIXTY = r"[01]\d|2[0-3]", r"[0-5]\d"
_ISO = (
    rf"^(?P<day>\d{{4}}-\d\d-\d\d)(?:[Tt ](?P<hour>{_HOUR}):(?P<minute>{_SIXTY})"
    rf"(?::(?P<second>{_SIXTY})(?:[.,](?P<fraction>\d{{1,9}}))?)?"
    rf"[ ]?(?:[Zz]|(?P<sign>[+-])(?P<ahead_h>{_HOUR})(?::?(?P<ahead_m>{_SIXTY}))?)?)?$"
)
_EPOCH = date(1970, 1, 1).toordinal()
_NO_DAY = -(2**31)


def parse_iso(text: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (N,) texts as microseconds since the Unix epoch, and which of them are times; the others are 0.

    >>> parse_iso(pa.array(["1970-01-01T00:00:01.5+00:00", "1970-02-30", None], pa.large_string()))[0].tolist()
    [1500000, 0, 0]
    """
    fields = pc.extract_regex(text, _ISO)
    day = _days(pc.struct_field(fields, "day"))
    hour, minute, second, ahead_h, ahead_m = (
        _integers(pc.struct_field(fields, name))
        for name in ("hour", "minute", "second", "ahead_h", "ahead_m")
    )
    fraction = pc.struct_field(fields, "fraction")
    fraction_us, _ = whole_to_us(_integers(pc.ascii_rpad(fraction, 9, "0")), "ns")
    west = _numpy(pc.equal(pc.struct_field(fields, "sign"), "-"), False)
    ahead = (ahead_h * 60 + ahead_m) * np.where(west, -1, 1)
    seconds = day * 86_400 + (hour * 60 + minute - ahead) * 60 + second
    valid = _numpy(fields.is_valid(), False) & (day != _NO_DAY)
    return np.where(valid, seconds * 1_000_000 + fraction_us, 0), valid


def _numpy(array: pa.Array, null: Any) -> NDArray[Any]:
    values: NDArray[Any] = pc.fill_null(array, null).to_numpy(zero_copy_only=False)
    return values


def _integers(digits: pa.Array) -> NDArray[np.int64]:
    """Return digits as numbers; 0 where there are none."""
    return _numpy(pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.int64()), 0)


def _days(days: pa.Array) -> NDArray[np.int64]:
    """Return dates as days since the epoch; a file has few different ones."""
    encoded = days.dictionary_encode()
    known = [_day(text) for text in encoded.dictionary.to_pylist()]
    found: NDArray[np.int64] = np.array([*known, _NO_DAY], np.int64)[_numpy(encoded.indices, len(known))]
    return found


def _day(text: str) -> int:
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        return _NO_DAY
