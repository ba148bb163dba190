import json
import math
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import texts

from kernels.errors import BadRecord
from kernels.hashing import hash_text
from kernels.rows import CanonicalRows, Encoding, canonical_columns, decode_rows
from kernels.schema import MAX_RECORD_BYTES, POSITION, RANGES, REQUIRED, column_dtype

ENCODINGS: list[Encoding] = ["msgpack", "json"]
RECORD_REASONS = {"too_large", "truncated", "malformed"}
ROW_REASONS = {"agent_missing", "time_missing", "position_missing", "bad_type", "out_of_range"}
ROW = {"agent_id": 7, "time_us": 1_000_000, "x_m": 1.5, "y_m": -2.5, "z_m": 0.0, "level": 3, "speed_mps": 9.5}

INTEGERS = st.integers(-(2**63), 2**64 - 1)
SCALARS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | st.text()
FLAT_ROWS = st.lists(st.dictionaries(texts(), SCALARS, min_size=1, max_size=5), max_size=6)


def pack(rows: Any, encoding: Encoding) -> bytes:
    """What a producer sends."""
    packed: bytes = msgpack.packb(rows) if encoding == "msgpack" else json.dumps(rows).encode()
    return packed


def outcome_of(record: bytes, encoding: Encoding) -> str:
    """Why a record is refused, or that it is decoded."""
    try:
        decode_rows(record, encoding)
    except BadRecord as refused:
        return refused.reason
    return "decoded"


def canonical_of(*rows: dict[str, Any]) -> CanonicalRows:
    """Rows as canonical columns."""
    return canonical_columns({key: [row.get(key) for row in rows] for row in rows for key in row})


def slow_value(name: str, value: Any) -> Any:
    """What a row's value becomes in its column, or the reason why the row is no event."""
    if name in {"agent_id", "cause_agent"} and isinstance(value, str):
        size = len(value.encode("utf-8"))
        return ("agent_missing" if not size else "out_of_range") if not 1 <= size <= 255 else hash_text(value)
    if value is None:
        missing = {"agent_id": "agent_missing", "time_us": "time_missing"} | dict.fromkeys(
            POSITION, "position_missing"
        )
        return missing.get(name, 0 if name in RANGES else math.nan)
    if type(value) not in ({int} if name in RANGES else {int, float}):
        return "bad_type"
    if name in RANGES:
        return value if value in RANGES[name] else "out_of_range"
    with np.errstate(over="ignore"):
        number = np.float32(value)
    if name in POSITION and not np.isfinite(number):
        return "position_missing" if np.isnan(number) else "out_of_range"
    return number


def slow_canonical(
    rows: list[dict[str, Any]], names: list[str]
) -> tuple[list[list[Any]], dict[int, str], list[int]]:
    """The values of the good rows, the reasons of the bad ones and the numbers of the good ones, value by value."""
    found = [[slow_value(name, row.get(name)) for name in names] for row in rows]
    bad = {
        k: next(v for v in row if isinstance(v, str))
        for k, row in enumerate(found)
        if any(isinstance(v, str) for v in row)
    }
    kept = [k for k in range(len(rows)) if k not in bad]
    return [found[k] for k in kept], bad, kept


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(rows=FLAT_ROWS)
def test_rows_become_columns_of_their_values(encoding: Encoding, rows: list[dict[str, Any]]) -> None:
    """Every value is found at its key and row, with its type; null and absent are None."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    expected = {key: [row.get(key) for row in rows] for key in keys}
    found = decode_rows(pack(rows, encoding), encoding)
    assert found == expected
    assert [[type(v) for v in values] for values in found.values()] == [
        [type(v) for v in values] for values in expected.values()
    ]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(row=st.dictionaries(texts(), SCALARS, min_size=1, max_size=5))
def test_one_map_is_one_row(encoding: Encoding, row: dict[str, Any]) -> None:
    """A map alone gives what an array of that one map gives."""
    assert decode_rows(pack(row, encoding), encoding) == decode_rows(pack([row], encoding), encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(record=st.binary(max_size=100))
@example(record=b"")
def test_random_bytes_are_rows_or_refused(encoding: Encoding, record: bytes) -> None:
    """Any bytes decode, or raise BadRecord and nothing else."""
    assert outcome_of(record, encoding) in RECORD_REASONS | {"decoded"}


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.data(), rows=FLAT_ROWS)
def test_damaged_rows_are_columns_or_refused(
    encoding: Encoding, data: st.DataObject, rows: list[dict[str, Any]]
) -> None:
    """Rows with some bytes overwritten raise BadRecord and nothing else, or each is an event or bad."""
    record = bytearray(pack([*rows, ROW], encoding))
    for at in data.draw(st.lists(st.integers(0, len(record) - 1), min_size=1, max_size=4)):
        record[at] = data.draw(st.integers(0, 255))
    outcome = outcome_of(bytes(record), encoding)
    assert outcome in RECORD_REASONS | {"decoded"}
    if outcome == "decoded":
        decoded = decode_rows(bytes(record), encoding)
        found = canonical_columns(decoded)
        assert set(found.bad.values()) <= ROW_REASONS
        assert sorted([*found.kept.tolist(), *found.bad]) == list(
            range(len(next(iter(decoded.values()), [])))
        )


@pytest.mark.parametrize(("encoding", "reason"), [("msgpack", "truncated"), ("json", "malformed")])
def test_rows_cut_at_any_byte_are_refused(encoding: Encoding, reason: str) -> None:
    """No prefix of an array of rows is rows."""
    record = pack([ROW, ROW], encoding)
    assert {outcome_of(record[:size], encoding) for size in range(len(record))} == {reason}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "rows",
    [
        1,
        "row",
        None,
        True,
        {},
        [{}, {}],
        [1],
        [ROW, 1],
        [[ROW]],
        ROW | {"nested": {"x": 1}},
        ROW | {"nested": {}},
        ROW | {"nested": []},
        ROW | {"nested": [1]},
    ],
)
def test_other_shapes_are_malformed(encoding: Encoding, rows: Any) -> None:
    """What is neither a flat map nor an array of them is malformed."""
    assert outcome_of(pack(rows, encoding), encoding) == "malformed"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_empty_array_is_no_rows(encoding: Encoding) -> None:
    """An empty array is valid and holds nothing."""
    rows = decode_rows(pack([], encoding), encoding)
    assert rows == {}
    assert canonical_columns(rows).columns["time_us"].size == 0


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\x82\xa1a\x01\xa1a\x02", "malformed"),  # a key twice
        (b"\x81\x01\x02", "malformed"),
        (b"\x81\xc4\x01a\x02", "malformed"),  # a key of bytes
        (b"\x81\xa1a\xc4\0", "malformed"),  # binary
        (b"\x81\xa1a\xc4\x01a", "malformed"),
        (b"\x81\xa1a\xc7\0\x05", "malformed"),  # extension types
        (b"\x81\xa1a\xd4\x05\0", "malformed"),
        (b"\x81\xa1a\xc7\0\xff", "malformed"),  # timestamps
        (b"\x81\xa1a\xd6\xff" + bytes(4), "malformed"),
        (b"\x81\xa1a\xd7\xff" + b"\xff" * 8, "malformed"),
        (b"\x81\xa1\xff\x01", "malformed"),  # bad UTF-8
        (b"\xc1", "malformed"),
        (b"\x81\xa1a\x01\x01", "malformed"),  # bytes after the end
        (b"\x91\x81\xa1a\x01\x01", "malformed"),
        (b"\xdd\xff\xff\xff\xff", "too_large"),
        (b"\xdc\xff\xff", "truncated"),
        (b"\xdf\xff\xff\xff\xff", "malformed"),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff", "malformed"),
        (b"\x81\xa1a\xdb\xff\xff\xff\xff", "truncated"),
        (b"\x81\xa1a\xc6\xff\xff\xff\xff", "truncated"),
        (b"\x91" * 100_000, "malformed"),
        (b"\x81\xa1a" * 100_000, "malformed"),
        (b"\xdf\x00\x00\x00\x80" * 100_000, "malformed"),
        (bytes(MAX_RECORD_BYTES + 1), "too_large"),
    ],
)
def test_hostile_msgpack_is_refused_before_memory_grows(record: bytes, reason: str) -> None:
    """Depth, absurd counts and foreign types are refused with their reason, within 3 MB beside the input's copy."""
    tracemalloc.start()
    try:
        assert outcome_of(record, "msgpack") == reason
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b'{"a": 1, "a": 2}', "malformed"),
        (b'{"a": NaN}', "malformed"),
        (b'{"a": -Infinity}', "malformed"),
        (b'{"a": 1} {"a": 1}', "malformed"),
        (b"{'a': 1}", "malformed"),
        (b'{"a": 01}', "malformed"),
        (b'{"a": "\xff"}', "malformed"),
        (b'\xef\xbb\xbf{"a": 1}', "malformed"),  # a byte order mark
        ('{"a": 1}'.encode("utf-16"), "malformed"),
        (b'{"a": "\\ud800"}', "malformed"),  # half a surrogate pair
        (b'{"\\uDFFF": 1}', "malformed"),
        (b"[" * 50_000, "malformed"),
        (b'{"a":' * 50_000, "malformed"),
        (b"[" * 100_000, "too_large"),
        (b'{"a":' * 100_000, "too_large"),
        (b"[" + b'{"a":1},' * 65_536 + b'{"a":1}]', "too_large"),
        (b" " * (MAX_RECORD_BYTES + 1), "too_large"),
    ],
)
def test_hostile_json_is_refused(record: bytes, reason: str) -> None:
    """Depth, doubled keys, literals that are no JSON and other encodings of text are refused with their reason."""
    assert outcome_of(record, "json") == reason


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_different_keys_are_bounded(encoding: Encoding) -> None:
    """128 different keys in a record are rows; with one more it is too large."""
    rows = [{f"k{k}": 1} for k in range(128)]
    assert len(decode_rows(pack(rows, encoding), encoding)) == 128
    assert outcome_of(pack([*rows, {"k128": 1}], encoding), encoding) == "too_large"


def test_json_numbers_of_any_length_are_read_in_little_time() -> None:
    """20 characters are an integer, more are the nearest float, and 1e999 is infinite."""
    huge = b'{"a": 18446744073709551615, "b": 100000000000000000000, "c": 1e999, "d": -1e999, "e": %b, "f": 0.%b}'
    rows = decode_rows(huge % (b"9" * 1_000_000, b"1" * 1_000_000), "json")
    assert rows == {
        "a": [2**64 - 1],
        "b": [1e20],
        "c": [math.inf],
        "d": [-math.inf],
        "e": [math.inf],
        "f": [1 / 9],
    }
    assert [type(values[0]) for values in rows.values()] == [int] + [float] * 5


def test_json_text_may_be_any_unicode() -> None:
    """Escaped surrogate pairs and plain UTF-8 are the same text."""
    assert decode_rows(b'{"a": "\\ud83d\\ude80", "b": "\xf0\x9f\x9a\x80"}', "json") == {
        "a": ["🚀"],
        "b": ["🚀"],
    }


@given(st.data())
def test_each_row_is_judged_by_itself(data: st.DataObject) -> None:
    """Good rows, reasons and columns are those that a slow look at each value alone gives."""
    names = [
        *REQUIRED,
        *data.draw(
            st.lists(st.sampled_from(["seq", "level", "energy", "cause_agent", "speed_mps"]), unique=True)
        ),
    ]
    odd = SCALARS | st.just(math.nan) | st.just(math.inf) | st.just("a" * 256) | st.just(1e39)
    usual = {
        "agent_id": st.integers(0, 9) | texts(),
        "level": st.integers(0, 6),
        "cause_agent": st.integers(0, 9),
    }
    cell = [st.one_of(*[usual.get(name, st.integers(0, 9))] * 6, odd) for name in names]
    rows = [
        dict(zip(names, row, strict=True))
        for row in data.draw(st.lists(st.tuples(*cell), min_size=1, max_size=8))
    ]
    values, bad, kept = slow_canonical(rows, names)
    found = canonical_of(*rows)
    assert found.bad == bad
    assert found.kept.tolist() == kept
    assert found.kept.dtype == np.int32
    for k, name in enumerate(names):
        assert found.columns[name].dtype == column_dtype(name)
        np.testing.assert_array_equal(
            found.columns[name], np.array([row[k] for row in values], column_dtype(name))
        )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"agent_id": None}, "agent_missing"),
        ({"agent_id": ""}, "agent_missing"),
        ({"agent_id": "\ud800"}, "bad_type"),
        ({"agent_id": 7.0}, "bad_type"),
        ({"agent_id": True}, "bad_type"),
        ({"agent_id": -1}, "out_of_range"),
        ({"agent_id": 2**64}, "out_of_range"),
        ({"agent_id": "é" * 128}, "out_of_range"),
        ({"time_us": None}, "time_missing"),
        ({"time_us": "now"}, "bad_type"),
        ({"time_us": 2**63}, "out_of_range"),
        ({"x_m": None}, "position_missing"),
        ({"y_m": math.nan}, "position_missing"),
        ({"z_m": math.inf}, "out_of_range"),
        ({"z_m": 1e39}, "out_of_range"),
        ({"x_m": "1.5"}, "bad_type"),
        ({"level": 7}, "out_of_range"),
        ({"level": 2.0}, "bad_type"),
        ({"seq": -1}, "out_of_range"),
        ({"speed_mps": "fast"}, "bad_type"),
        ({"agent_id": None, "x_m": "1.5"}, "agent_missing"),  # the first of several reasons
    ],
)
def test_a_bad_row_does_not_take_its_neighbours_along(change: dict[str, Any], reason: str) -> None:
    """A row that is no event gets its reason, and the rows around it are events all the same."""
    found = canonical_of(ROW, ROW | change, ROW | {"time_us": 2_000_000})
    assert found.bad == {1: reason}
    assert found.kept.tolist() == [0, 2]
    assert found.columns["time_us"].tolist() == [1_000_000, 2_000_000]


def test_rows_without_a_required_key_are_all_bad() -> None:
    """A required column that no row has makes every row no event, and leaves every column empty."""
    found = canonical_columns({"agent_id": [1, 2], "x_m": [0.0, None], "y_m": [0.0, 0.0], "z_m": [0.0, 0.0]})
    assert found.bad == {0: "time_missing", 1: "time_missing"}
    assert {name: values.size for name, values in found.columns.items()} == dict.fromkeys(REQUIRED, 0)


def test_only_columns_that_are_asked_for_are_taken() -> None:
    """With `further` given other keys are left out; without, keys that can name no column are."""
    rows = {key: [value] for key, value in (ROW | {"callsign": "SWR1", "Flight": "LX1"}).items()}
    assert list(canonical_columns(rows, further=["speed_mps"]).columns) == [*REQUIRED, "level", "speed_mps"]
    assert canonical_columns(rows).bad == {0: "bad_type"}
    assert "Flight" not in canonical_columns(rows).columns
