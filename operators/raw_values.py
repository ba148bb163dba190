"""The values of a source's column, whatever type they come in, as what the mapping wants: numbers, integers, times.

The same data gives the same values from a typed column (Parquet), from text (CSV) and from a list of Python values
(JSON, msgpack), one by one: what stands in other rows never matters.

    wanted      taken from
    number      numbers, and text that is one in decimal; empty, "null", "none", "na", "n/a" and "nan" are no value
    integer     the same, as long as it is whole; a floating-point number only up to 2**53, below which it is exact
    time        a number with a unit, exact where it is whole; or text as in `operators.iso_time`, a timestamp, a date

Each comes with a status: OK, NULL (no value), BAD_TYPE or OUT_OF_RANGE.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kernels.units import real_to_us, whole_to_us
from operators.iso_time import parse_iso

__all__ = [
    "BAD_TYPE",
    "ISO",
    "NULL",
    "OK",
    "OUT_OF_RANGE",
    "Raw",
    "Values",
    "as_array",
    "fill",
    "integers",
    "numbers",
    "times_us",
]

ISO = "iso"
"""The unit of times that are text, timestamps or dates."""

Raw: TypeAlias = pa.Array | NDArray[Any] | Sequence[Any] | None
"""A column of N values; None where the source has no such column."""

OK, NULL, BAD_TYPE, OUT_OF_RANGE = range(4)

_NUMBER = r"(?i)^[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf|infinity)$"
_WHOLE = r"^[+-]?\d+$"
_NULLS = pa.array(["", "null", "none", "na", "n/a", "nan"], pa.large_string())
_EXACT = 2.0**53  # up to here a float64 tells neighbouring integers apart


class Values(NamedTuple):
    """(N,) values, 0 or NaN where `status` (N,) is not OK."""

    values: NDArray[Any]
    status: NDArray[np.uint8]


class _Exact(NamedTuple):
    """(N,) numbers: sign and magnitude where they are whole by their form, floating-point where not."""

    whole: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    magnitude: NDArray[np.uint64]
    real: NDArray[np.float64]
    status: NDArray[np.uint8]


def numbers(raw: Raw, n: int) -> Values:
    """Return float64; infinity is OK here, NaN is NULL."""
    if isinstance(raw, Sequence) and set(map(type, raw)) <= {int, float, type(None)}:
        try:
            values = np.array([np.nan if value is None else value for value in raw], np.float64)
        except OverflowError:  # an integer over 1e308: as text it is infinity
            return numbers(_texts(raw), n)
        return Values(values, np.isnan(values).astype(np.uint8) * NULL)
    return Values(*_real(as_array(raw, n)))


def integers(raw: Raw, n: int, most: int) -> Values:
    """Return uint64 in 0 to `most`."""
    exact = _exact(as_array(raw, n))
    values, negative, status = exact.magnitude.copy(), exact.negative.copy(), exact.status.copy()
    real = ~exact.whole & (status == OK)
    large, broken = np.abs(exact.real) > _EXACT, np.rint(exact.real) != exact.real
    status[real & broken] = BAD_TYPE
    status[real & large] = OUT_OF_RANGE
    taken = real & ~large & ~broken
    values[taken], negative[taken] = np.abs(exact.real[taken]), exact.real[taken] < 0
    status[(status == OK) & ((values > most) | (negative & (values > 0)))] = OUT_OF_RANGE
    values[status != OK] = 0
    return Values(values, status)


def times_us(raw: Raw, n: int, unit: str) -> Values:
    """Return int64 microseconds since the epoch; `unit` is one of `kernels.units.TIME_UNITS`, or ISO."""
    array = as_array(raw, n)
    if unit == ISO:
        return _iso(array)
    exact = _exact(array)
    signed = np.where(exact.negative, -exact.magnitude.view(np.int64), exact.magnitude.view(np.int64))
    whole_us, whole_fits = whole_to_us(signed, unit)
    real_us, real_fits = real_to_us(exact.real, unit)
    fits = np.where(exact.whole, whole_fits & (exact.magnitude < 2**63), real_fits)
    status = np.where((exact.status == OK) & ~fits, OUT_OF_RANGE, exact.status).astype(np.uint8)
    return Values(np.where(status == OK, np.where(exact.whole, whole_us, real_us), 0), status)


def as_array(raw: Raw, n: int) -> pa.Array:
    """Return a column as null, integers, floating-point, large text or timestamps; any other type stays as it is."""
    if raw is None:
        return pa.nulls(n)
    array = (
        raw if isinstance(raw, pa.Array) else _from_list(raw) if isinstance(raw, Sequence) else pa.array(raw)
    )
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_decimal(kind) or kind == pa.string_view():
        return array.cast(pa.large_string())
    if pa.types.is_date(kind):
        return array.cast(pa.timestamp("s"))
    return array.cast(pa.float32()) if kind == pa.float16() else array


def _from_list(values: Sequence[Any]) -> pa.Array:
    kinds = set(map(type, values)) - {type(None)}
    try:
        if kinds == {int}:
            return pa.array(values, pa.int64())
        if kinds == {float}:
            return pa.array(values, pa.float64())
    except OverflowError:
        pass
    return _texts(values)


def _texts(values: Sequence[Any]) -> pa.Array:
    """Return values as text, numbers in the digits that give them back."""
    texts = [value if value is None or type(value) is str else repr(value) for value in values]
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:  # half a surrogate pair: no number, no time, no name either way
        whole = [text and text.encode("utf-8", "replace").decode() for text in texts]
        return pa.array(whole, pa.large_string())


def fill(array: pa.Array, null: Any) -> NDArray[Any]:
    """Return a column's (N,) values, with `null` where it has none."""
    values: NDArray[Any] = pc.fill_null(array, null).to_numpy(zero_copy_only=False)
    return values


def _is_valid(array: pa.Array) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _real(array: pa.Array) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    if pa.types.is_large_string(array.type):
        text = pc.ascii_trim_whitespace(array)
        number = pc.match_substring_regex(text, _NUMBER)
        real = fill(pc.if_else(number, text, None).cast(pa.float64()), np.nan)
        null = ~_is_valid(array) | fill(pc.is_in(pc.ascii_lower(text), _NULLS), False)
        return real, np.where(null, NULL, np.where(fill(number, False), OK, BAD_TYPE)).astype(np.uint8)
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        real = fill(array.cast(pa.float64(), safe=False), np.nan)  # the nearest one, also over 2**53
        return real, np.where(np.isnan(real), NULL, OK).astype(np.uint8)
    return np.full(len(array), np.nan), np.where(_is_valid(array), BAD_TYPE, NULL).astype(np.uint8)


def _exact(array: pa.Array) -> _Exact:
    real, status = _real(array)
    none = np.zeros(len(array), np.bool_)
    if pa.types.is_integer(array.type):
        values = fill(array, 0)
        magnitude = (
            values.astype(np.uint64)
            if values.dtype.kind == "u"
            else np.abs(values.astype(np.int64)).view(np.uint64)
        )
        return _Exact(status == OK, values < 0, magnitude, real, status)
    if not pa.types.is_large_string(array.type):
        return _Exact(none, none, none.astype(np.uint64), real, status)
    text = pc.ascii_trim_whitespace(array)
    is_whole = pc.match_substring_regex(text, _WHOLE)
    magnitude, large = _magnitudes(pc.if_else(is_whole, pc.ascii_ltrim(text, "+-"), None))
    status[large] = OUT_OF_RANGE
    return _Exact(fill(is_whole, False), fill(pc.starts_with(text, "-"), False), magnitude, real, status)


def _magnitudes(digits: pa.Array) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return digits as integers, and which of them are 2**64 or more; both are 0 where there are none."""
    try:
        return fill(digits.cast(pa.uint64()), 0), np.zeros(len(digits), np.bool_)
    except pa.ArrowInvalid:  # at least one is too large: 2**64 has 20 digits
        short = [(text or "0").lstrip("0")[:21] or "0" for text in digits.to_pylist()]
        large = np.array([int(text) >= 2**64 for text in short])
        return np.array([0 if int(text) >= 2**64 else int(text) for text in short], np.uint64), large


def _iso(array: pa.Array) -> Values:
    if pa.types.is_timestamp(array.type):
        values, valid = fill(array.cast(pa.int64()), 0), _is_valid(array)
        us, fits = whole_to_us(values, array.type.unit)
        return Values(us, np.where(valid, np.where(fits, OK, OUT_OF_RANGE), NULL).astype(np.uint8))
    if not pa.types.is_large_string(array.type):
        return Values(
            np.zeros(len(array), np.int64), np.where(_is_valid(array), BAD_TYPE, NULL).astype(np.uint8)
        )
    text = pc.ascii_trim_whitespace(array)
    us, good = parse_iso(text)
    null = ~_is_valid(array) | fill(pc.is_in(pc.ascii_lower(text), _NULLS), False)
    return Values(us, np.where(null, NULL, np.where(good, OK, BAD_TYPE)).astype(np.uint8))
