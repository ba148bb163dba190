"""Values of a column against a slow reading of one value at a time, in every type that the same data can come in."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.hashing import hash_text
from operators.raw_ids import ids, named
from operators.raw_values import BAD_TYPE, ISO, NULL, OK, OUT_OF_RANGE, integers, numbers, times_us

_NULLS = {"", "null", "none", "na", "n/a", "nan"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?|inf|infinity)", re.ASCII | re.IGNORECASE)

WRITTEN = [
    "1",
    "-0",
    "+5",
    " 7 ",
    "1.5",
    "5.",
    ".5",
    "1e3",
    "-2E-2",
    "1e400",
    "inf",
    "-Infinity",
    "nan",
    "NA",
    "",
    "null",
]
WRITTEN += [
    "1_0",
    "0x1",
    "1,5",
    "abc",
    "1 2",
    "٣",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
]
TEXTS = st.sampled_from(WRITTEN) | st.integers().map(str) | st.floats().map(repr) | st.text(max_size=5)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _number(value: Any) -> tuple[float, int]:
    """Read one value as a number."""
    if value is None:
        return np.nan, NULL
    if type(value) is bool:
        return np.nan, BAD_TYPE
    text = value.strip(" \t\n\v\f\r") if type(value) is str else repr(value)
    if text.lower() in _NULLS:
        return np.nan, NULL
    return (float(text), OK) if _NUMBER.fullmatch(text) else (np.nan, BAD_TYPE)


def _integer(value: Any, most: int) -> tuple[int, int]:
    """Read one value as an integer."""
    real, status = _number(value)
    if status != OK:
        return 0, status
    text = value.strip() if type(value) is str else repr(value)
    exact = int(text) if re.fullmatch(r"[+-]?\d+", text) else None
    if exact is None and abs(real) > 2**53:
        return 0, OUT_OF_RANGE
    if exact is None and real != int(real):
        return 0, BAD_TYPE
    whole = int(real) if exact is None else exact
    return (whole, OK) if 0 <= whole <= most else (0, OUT_OF_RANGE)


@given(st.lists(SCALARS))
def test_numbers_one_by_one(values: list[Any]) -> None:
    """A number is what its own text says in decimal, whatever stands beside it."""
    found = numbers(values, len(values))
    expected = [_number(value) for value in values]
    np.testing.assert_array_equal(found.values, np.array([number for number, _ in expected]))
    assert found.status.tolist() == [status for _, status in expected]


@given(st.lists(SCALARS), st.sampled_from([6, 2**32 - 1, 2**64 - 1]))
def test_integers_one_by_one(values: list[Any], most: int) -> None:
    """An integer is exact up to 64 bits, or refused for its own sake."""
    found = integers(values, len(values), most)
    assert list(zip(found.values.tolist(), found.status.tolist(), strict=True)) == [
        _integer(v, most) for v in values
    ]


@given(st.lists(TEXTS | st.none()))
def test_text_columns_are_lists_of_text(values: list[str | None]) -> None:
    """Text gives the same values from a typed column of any kind as from a list."""
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        column = pa.array(values, pa.string()).cast(kind)
        for read in (
            numbers,
            lambda raw, n: integers(raw, n, 255),
            lambda raw, n: times_us(raw, n, "ms"),
            ids,
        ):
            for one, other in zip(read(column, len(values)), read(values, len(values)), strict=True):
                np.testing.assert_array_equal(one, other)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_typed_integers_are_their_digits(values: list[int]) -> None:
    """Integers give the same numbers, integers, times and ids from a typed column as from their digits."""
    digits, column = [str(value) for value in values], pa.array(values, pa.int64())
    n = len(values)
    for unit in ("s", "ms", "us", "ns"):
        assert times_us(column, n, unit)[0].tolist() == times_us(digits, n, unit)[0].tolist()
    assert numbers(column, n)[0].tolist() == numbers(digits, n)[0].tolist()
    assert ids(column, n)[0].tolist() == ids(digits, n, "integer")[0].tolist()
    assert ids(column, n, "text")[0].tolist() == ids(digits, n, "text")[0].tolist()


@given(st.lists(st.floats()))
def test_typed_floats_are_their_digits(values: list[float]) -> None:
    """Floats give the same from a typed column, an array and a list as from text with all their digits."""
    digits, n = [repr(value) for value in values], len(values)
    for column in (pa.array(values, pa.float64()), np.array(values), values):
        for read in (numbers, lambda raw, n: integers(raw, n, 255), lambda raw, n: times_us(raw, n, "s")):
            found, expected = read(column, n), read(digits, n)
            assert found.status.tolist() == expected.status.tolist()
            np.testing.assert_array_equal(found.values, expected.values)


@given(st.lists(st.decimals(-(10**9), 10**9, places=3, allow_nan=False)))
def test_decimals_are_their_digits(values: list[Decimal]) -> None:
    """A decimal column gives the floats nearest to its decimals."""
    found = numbers(pa.array(values, pa.decimal128(20, 3)), len(values))
    assert found.values.tolist() == [float(value) for value in values]


@given(
    st.lists(st.datetimes(timezones=st.just(UTC))),
    st.sampled_from(["T", " ", "t"]),
    st.sampled_from(["Z", "", "+00:00"]),
)
def test_text_times_are_timestamps(times: list[datetime], between: str, zone: str) -> None:
    """A time is the same as text in ISO 8601 and as a timestamp, and equals Python's own."""
    expected = [(time - EPOCH) // timedelta(microseconds=1) for time in times]
    texts = [time.replace(tzinfo=None).isoformat(between) + zone for time in times]
    assert times_us(texts, len(times), ISO).values.tolist() == expected
    assert times_us(pa.array(times, pa.timestamp("us", "UTC")), len(times), ISO).values.tolist() == expected


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_zones(time: datetime, ahead_min: int) -> None:
    """A time with a zone ahead of UTC was that much earlier in UTC."""
    sign, (hours, minutes) = "-" if ahead_min < 0 else "+", divmod(abs(ahead_min), 60)
    utc = time.replace(tzinfo=UTC) - timedelta(minutes=ahead_min)
    texts = [f"{time.isoformat()}{sign}{hours:02}{colon}{minutes:02}" for colon in (":", "")]
    assert times_us(texts, 2, ISO).values.tolist() == [(utc - EPOCH) // timedelta(microseconds=1)] * 2


@given(st.text("0123456789", min_size=1, max_size=9))
def test_fractions_of_a_second(digits: str) -> None:
    """A fraction of a second is rounded to the nearest microsecond, halves to even."""
    assert times_us([f"1970-01-01T00:00:00.{digits}Z"], 1, ISO).values[0] == round(
        Fraction(f"0.{digits}") * 10**6
    )


_TIMES = [
    ("2018-08-01", 1_533_081_600_000_000, OK),
    ("2018-08-01T05", 0, BAD_TYPE),
    ("2018-08-01 05:00", 1_533_099_600_000_000, OK),
    ("2018-08-01T05:00:00,5 +02", 1_533_092_400_500_000, OK),
    ("9999-12-31T23:59:59.9999999", 253_402_300_800_000_000, OK),
    ("2018-02-30", 0, BAD_TYPE),
    ("2018-08-01T24:00", 0, BAD_TYPE),
    ("2016-12-31T23:59:60Z", 0, BAD_TYPE),
    ("0000-01-01", 0, BAD_TYPE),
    ("20180801T050000Z", 0, BAD_TYPE),
    ("1533099600000", 0, BAD_TYPE),
    ("2018-08-01T05:00:00.1234567890", 0, BAD_TYPE),
    (" ", 0, NULL),
    (None, 0, NULL),
]


def test_what_is_a_time() -> None:
    """A text is a time, none, or something else, one by one."""
    texts, us, status = zip(*_TIMES, strict=True)
    found = times_us(list(texts), len(texts), ISO)
    assert (found.values.tolist(), found.status.tolist()) == (list(us), list(status))


def test_typed_times() -> None:
    """Timestamps of any unit and dates are times; a time zone changes how they are shown and not what they are."""
    day = 1_533_081_600
    for unit, per_second in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        column = pa.array([day * per_second, None], pa.timestamp(unit, "Europe/Zurich"))
        found = times_us(column, 2, ISO)
        assert (found.values.tolist(), found.status.tolist()) == ([day * 10**6, 0], [OK, NULL])
    assert times_us(pa.array([date(2018, 8, 1)]), 1, ISO).values.tolist() == [day * 10**6]
    assert times_us(pa.array([2**62], pa.timestamp("s")), 1, ISO).status.tolist() == [OUT_OF_RANGE]


def test_wrong_types() -> None:
    """A column of a type that has nothing to do with what is wanted is bad where it has values."""
    for column in (
        pa.array([True, None]),
        pa.array([[1], None]),
        pa.array([b"\xff", None]),
        pa.array([{"a": 1}, None]),
    ):
        assert numbers(column, 2).status.tolist() == [BAD_TYPE, NULL]
        assert integers(column, 2, 9).status.tolist() == [BAD_TYPE, NULL]
        assert times_us(column, 2, ISO).status.tolist() == [BAD_TYPE, NULL]
        assert ids(column, 2).status.tolist() == [BAD_TYPE, NULL]
        assert named(column, 2, {}).status.tolist() == [BAD_TYPE, NULL]


def test_no_column() -> None:
    """A column that is not there is null in every row."""
    for found in (
        numbers(None, 2),
        integers(None, 2, 9),
        times_us(None, 2, ISO),
        ids(None, 2),
        named(None, 2, {}),
    ):
        assert found.status.tolist() == [NULL, NULL]


def test_half_a_surrogate_pair() -> None:
    """Text that has no UTF-8 form is no id, number or time, and leaves its neighbours alone."""
    values = ["a", "\ud800", "1"]
    assert ids(values, 3).status.tolist() == [OK, BAD_TYPE, OK]
    assert numbers(values, 3).status.tolist() == [BAD_TYPE, BAD_TYPE, OK]
    assert times_us(values, 3, ISO).status.tolist() == [BAD_TYPE] * 3


_IDS = [
    ("b7", hash_text("b7"), hash_text("b7"), BAD_TYPE),
    ("7", hash_text("7"), hash_text("7"), 7),
    (" 7", hash_text(" 7"), hash_text(" 7"), 7),
    ("", NULL, NULL, NULL),
    (None, NULL, NULL, NULL),
    (float("nan"), NULL, NULL, NULL),
    (7, 7, hash_text("7"), 7),
    (7.0, 7, BAD_TYPE, 7),
    (7.5, BAD_TYPE, BAD_TYPE, BAD_TYPE),
    (-1, OUT_OF_RANGE, hash_text("-1"), OUT_OF_RANGE),
    (2**64, OUT_OF_RANGE, hash_text(str(2**64)), OUT_OF_RANGE),
    (True, BAD_TYPE, BAD_TYPE, BAD_TYPE),
    ([1], BAD_TYPE, BAD_TYPE, BAD_TYPE),
    ("é" * 127, hash_text("é" * 127), hash_text("é" * 127), BAD_TYPE),
    ("é" * 128, OUT_OF_RANGE, OUT_OF_RANGE, BAD_TYPE),
]


@pytest.mark.parametrize(("place", "kind"), [(1, "auto"), (2, "text"), (3, "integer")])
def test_ids_one_by_one(place: int, kind: Any) -> None:
    """An id is hashed or taken as it is by its kind, one by one, and hashed texts are kept."""
    column = [row[0] for row in _IDS]
    found = ids(column, len(column), kind)
    for row, value, status in zip(_IDS, found.values.tolist(), found.status.tolist(), strict=True):
        assert (value or status) == row[place], row
    hashed = {row[place]: str(row[0]) for row in _IDS if row[place] == hash_text(str(row[0]))}
    assert found.names == hashed


def test_named() -> None:
    """A name stands for its number, an integer for the name of its digits, and an unknown name is out of range."""
    found = named(["low", None, "", "mid", 3, 1.5, "low"], 7, {"low": 1, "3": 4})
    assert found.values.tolist() == [1, 0, 0, 0, 4, 0, 1]
    assert found.status.tolist() == [OK, NULL, NULL, OUT_OF_RANGE, OK, BAD_TYPE, OK]
    assert named(pa.array(["low", "3"]).dictionary_encode(), 2, {"low": 1, "3": 4}).values.tolist() == [1, 4]
