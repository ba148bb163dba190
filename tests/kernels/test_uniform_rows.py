"""Records read across against the same records read one by one."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import BadRecord
from kernels.rows import Rows, decode_rows
from kernels.uniform_rows import uniform_rows

R = 16  # records: as few as are read across
FLOATS = st.floats(width=32, allow_nan=False)  # so that they can be written in four bytes too
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-200, 300),
    FLOATS,
    st.text(max_size=40),
    st.text(min_size=250, max_size=260),
    st.binary(max_size=4),
    st.lists(st.integers(0, 3), max_size=2),
)
KINDS = [VALUES, FLOATS, st.integers(0, 5), st.integers(0, 2**64 - 1), st.text(max_size=8)]


def one_by_one(records: list[bytes]) -> Rows | None:
    """The columns of records of one row each; None where one of them is refused."""
    try:
        rows = [decode_rows(record, "msgpack") for record in records]
    except BadRecord:
        return None
    return {key: [row[key][0] for row in rows] for key in rows[0]}


def same(found: Rows, expected: Rows) -> bool:
    """Equal, and of the same types: 1 is not 1.0."""
    return found == expected and all(
        list(map(type, found[key])) == list(map(type, expected[key])) for key in expected
    )


@st.composite
def alike(draw: st.DrawFn) -> list[bytes]:
    """Records with the same keys in the same order; floats of four or of eight bytes."""
    keys = draw(st.lists(st.text(max_size=300), min_size=1, max_size=4, unique=True))
    kinds = {key: draw(st.sampled_from(KINDS)) for key in keys}
    pack = msgpack.Packer(use_single_float=draw(st.booleans())).pack
    return [pack({key: draw(kind) for key, kind in kinds.items()}) for _ in range(R)]


@given(alike())
def test_whatever_is_read_across_is_what_is_read_one_by_one(records: list[bytes]) -> None:
    """Or nothing is read across, and somebody else looks at each."""
    keys = set(msgpack.unpackb(records[0], strict_map_key=False))
    found = uniform_rows(records, keys)
    if found is not None:
        expected = one_by_one(records)
        assert expected is not None
        assert same(found, expected)


@given(alike(), st.data())
def test_bytes_changed_anywhere_are_never_misread(records: list[bytes], data: st.DataObject) -> None:
    """A record is cut, lengthened, or has a byte changed."""
    number = data.draw(st.integers(0, R - 1))
    record = records[number]
    at = data.draw(st.integers(0, len(record) - 1))
    with_byte = record[:at] + bytes([data.draw(st.integers(0, 255))]) + record[at + 1 :]
    records[number] = data.draw(st.sampled_from([record[:at], record + record[:at], with_byte]))
    try:
        keys = set(msgpack.unpackb(records[0], strict_map_key=False))
    except (ValueError, TypeError, msgpack.UnpackException):
        keys = set()
    found = uniform_rows(records, keys)
    if found is not None:
        expected = one_by_one(records)
        assert expected is not None
        assert same(found, expected)


@pytest.mark.parametrize(
    "column",
    [
        [n * 40 for n in range(R)],
        [2**64 - 1 - n for n in range(R)],
        [-n for n in range(R)],
        [n * 2.5 for n in range(R)],
        [None if n % 3 else n * 0.5 for n in range(R)],
        [f"agent-{'x' * n * 10}" for n in range(R)],
        [n if n % 2 else str(n) for n in range(R)],
        [None] * R,
    ],
)
def test_numbers_nulls_and_texts_are_read_across(column: list[Any]) -> None:
    """Of every width, and mixed."""
    records = [msgpack.packb({"a": 1, "b": value}) for value in column]
    found = uniform_rows(records, {"b"})
    assert found is not None
    assert same(found, {"b": column})


@pytest.mark.parametrize("value", [True, b"", [], {}, msgpack.ExtType(1, b"x"), "x" * 256])
def test_other_values_are_left_to_the_reader_of_single_records(value: Any) -> None:
    """One of them is enough."""
    records = [msgpack.packb({"a": n}) for n in range(R)] + [msgpack.packb({"a": value})]
    assert uniform_rows(records, {"a"}) is None


def test_records_that_complete_each_other_are_not_read_across() -> None:
    """The second is whole with the last byte of the first, and all together have the right length."""
    whole = [msgpack.packb({"a": 1, "b": n}) for n in range(R)]
    shifted = [whole[0][:-1], whole[0][-1:] + whole[1], *whole[2:]]
    assert uniform_rows(shifted, {"a", "b"}) is None


@pytest.mark.parametrize("value", [0, 1, -1, 7.5, None, "text", "x" * 40])
def test_a_last_record_that_is_cut_is_not_read_across(value: Any) -> None:
    """Wherever it is cut: what stands behind it in memory is no part of it."""
    whole = [msgpack.packb({"a": 1, "b": value})] * R
    for size in range(len(whole[0])):
        assert uniform_rows([*whole[1:], whole[0][:size]], {"a", "b"}) is None


def test_a_key_that_is_there_twice_is_not_read_across() -> None:
    """It is malformed."""
    assert uniform_rows([b"\x82\xa1a\x01\xa1a\x02"] * R, {"a"}) is None
