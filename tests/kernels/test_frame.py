import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import columns, cuts, texts

from kernels.errors import BadRecord
from kernels.frame import decode_frame, encode_frame
from kernels.schema import MAX_COLUMNS, MAX_RECORD_BYTES, MAX_RECORD_EVENTS, Columns, column_dtype

REASONS = {"too_large", "truncated", "malformed", "version", "columns", "dtype", "length"}
SEVEN: Columns = {
    "agent_id": np.arange(7, dtype="<u8"),
    "time_us": np.arange(7, dtype="<i8"),
    "x_m": np.linspace(0, 1, 7, dtype="<f4"),
    "y_m": np.linspace(1, 2, 7, dtype="<f4"),
    "z_m": np.linspace(2, 3, 7, dtype="<f4"),
    "level": np.arange(7, dtype="u1"),
    "speed_mps": np.full(7, np.nan, dtype="<f4"),
}


def as_map(of: Columns, **fields: Any) -> dict[str, Any]:
    """A frame as the plain map that any producer would pack."""
    n = len(next(iter(of.values())))
    return {"v": 1, "n": n, "c": {k: [v.dtype.str, v.tobytes()] for k, v in of.items()}} | fields


def with_column(name: str, *block: Any) -> dict[str, Any]:
    """A frame with one column replaced or added, as its plain map."""
    frame = as_map(SEVEN)
    return frame | {"c": frame["c"] | {name: list(block)}}


def outcome_of(record: bytes) -> str:
    """Why a record is refused, or that it is decoded."""
    try:
        decode_frame(record)
    except BadRecord as refused:
        return refused.reason
    return "decoded"


def assert_same(found: Columns, expected: Columns) -> None:
    """The columns are the same, in the same order, bit for bit."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == column_dtype(name)
        assert found[name].tobytes() == values.tobytes()


@given(columns(wild=True), st.dictionaries(st.integers(0, 2**64 - 1), texts()))
def test_a_frame_gives_back_what_went_in(given_columns: Columns, names: dict[int, str]) -> None:
    """Decoding an encoded frame gives the same names and the same columns, to the bit."""
    frame = decode_frame(encode_frame(given_columns, names=names))
    assert_same(frame.columns, given_columns)
    assert frame.names == names


@given(st.data(), columns())
def test_framing_does_not_matter(data: st.DataObject, given_columns: Columns) -> None:
    """However events are cut into frames, the frames one after the other hold the same events."""
    parts = data.draw(cuts(given_columns["agent_id"].size))
    frames = [decode_frame(encode_frame({k: v[part] for k, v in given_columns.items()})) for part in parts]
    assert_same({k: np.concatenate([f.columns[k] for f in frames]) for k in given_columns}, given_columns)


@given(columns(wild=True))
def test_any_msgpack_library_reads_and_writes_frames(given_columns: Columns) -> None:
    """A frame unpacks to its plain map, and the packed plain map is a frame."""
    assert msgpack.unpackb(encode_frame(given_columns)) == as_map(given_columns)
    assert_same(decode_frame(msgpack.packb(as_map(given_columns))).columns, given_columns)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_columns_are_read_only_and_aligned(kind: Any) -> None:
    """Columns cannot be written and are aligned in memory, wherever the producer put the blocks."""
    for record in (encode_frame(SEVEN), msgpack.packb(as_map(SEVEN))):
        for values in decode_frame(kind(record)).columns.values():
            assert values.flags.aligned
            assert not values.flags.writeable


def test_an_encoded_frame_is_decoded_without_a_copy() -> None:
    """Every column of a frame from `encode_frame` is a view of the record, whatever its name's length."""
    for length in range(1, 64):
        record = encode_frame(SEVEN | {"m" * length: SEVEN["x_m"]}, names={1: "a" * length})
        whole = np.frombuffer(record, "u1")
        assert all(np.shares_memory(whole, v) for v in decode_frame(record).columns.values())


def test_columns_that_are_strided_are_encoded() -> None:
    """A column that is not contiguous goes into the frame value by value."""
    strided = {name: np.repeat(values, 2)[::2] for name, values in SEVEN.items()}
    assert encode_frame(strided) == encode_frame(SEVEN)


def test_a_frame_cut_at_any_byte_is_truncated() -> None:
    """No prefix of a frame is a frame, and each is refused as truncated."""
    record = encode_frame(SEVEN, names={7: "seven"})
    assert {outcome_of(record[:size]) for size in range(len(record))} == {"truncated"}


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(record: bytes) -> None:
    """Bytes that are no frame raise BadRecord and nothing else."""
    assert outcome_of(record) in REASONS


@given(st.data())
def test_damaged_frames_are_frames_or_refused(data: st.DataObject) -> None:
    """A frame with some bytes overwritten decodes, or raises BadRecord and nothing else."""
    record = bytearray(encode_frame(SEVEN, names={7: "seven"}))
    for at in data.draw(st.lists(st.integers(0, len(record) - 1), min_size=1, max_size=4)):
        record[at] = data.draw(st.integers(0, 255))
    assert outcome_of(bytes(record)) in REASONS | {"decoded"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (as_map(SEVEN, v=2), "version"),
        (as_map(SEVEN, v=0), "version"),
        (as_map(SEVEN, v="1"), "malformed"),
        (as_map(SEVEN, n=-1), "malformed"),
        (as_map(SEVEN, n=None), "malformed"),
        (as_map(SEVEN, n=7.0), "malformed"),
        (as_map(SEVEN, n=True), "malformed"),
        (as_map(SEVEN, n=MAX_RECORD_EVENTS + 1), "too_large"),
        (as_map(SEVEN, n=2**64 - 1), "too_large"),
        (as_map(SEVEN, n=6), "length"),
        (as_map(SEVEN, n=0), "length"),
        (as_map(SEVEN, extra=1), "malformed"),
        (as_map(SEVEN, c=[]), "malformed"),
        (as_map(SEVEN, c={}), "columns"),
        (as_map(SEVEN, names=[]), "malformed"),
        (as_map(SEVEN, names={"seven": 7}), "malformed"),
        (as_map(SEVEN, names={-7: "seven"}), "malformed"),
        (as_map(SEVEN, names={7: b"seven"}), "malformed"),
        (as_map(SEVEN, names={7: "s" * 256}), "too_large"),
        (as_map({k: v for k, v in SEVEN.items() if k != "z_m"}), "columns"),
        (as_map(SEVEN | {f"m{k}": SEVEN["x_m"] for k in range(MAX_COLUMNS)}), "too_large"),
        (with_column("Speed", "<f4", bytes(28)), "columns"),
        (with_column("speed\n", "<f4", bytes(28)), "columns"),
        (with_column("m" * 64, "<f4", bytes(28)), "columns"),
        (with_column("m" * 256, "<f4", bytes(28)), "too_large"),
        (with_column("", "<f4", bytes(28)), "columns"),
        (with_column("x_m", "<f8", bytes(56)), "dtype"),
        (with_column("x_m", ">f4", bytes(28)), "dtype"),
        (with_column("agent_id", "<i8", bytes(56)), "dtype"),
        (with_column("speed_mps", "<u4", bytes(28)), "dtype"),
        (with_column("speed_mps", "|O", bytes(56)), "dtype"),
        (with_column("x_m", "<f4", bytes(27)), "length"),
        (with_column("x_m", "<f4", bytes(32)), "length"),
        (with_column("x_m", "<f4", b""), "length"),
        (with_column("x_m", "<f4", "text"), "malformed"),
        (with_column("x_m", "<f4", [1.0] * 7), "malformed"),
        (with_column("x_m", "<f4"), "malformed"),
        (with_column("x_m", "<f4", bytes(28), 1), "too_large"),
        ({"v": 1, "n": 0}, "malformed"),
        ({}, "malformed"),
        ([], "malformed"),
        ("frame", "malformed"),
        (1, "malformed"),
        (None, "malformed"),
        (msgpack.Timestamp(1), "malformed"),
    ],
)
def test_what_is_no_frame_has_its_reason(fields: Any, reason: str) -> None:
    """Each way to miss the shape of a frame is refused with the reason that the table gives it."""
    assert outcome_of(msgpack.packb(fields)) == reason


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"", "truncated"),
        (b"\xc1", "malformed"),
        (b"\x82\xa1v\x01\xa1v\x01", "malformed"),  # a field twice
        (b"\x81\xa1c\x82\xa1a\x92\xa0\xc4\0\xa1a\x92\xa0\xc4\0", "malformed"),  # a column twice
        (b"\x81\xa5names\x82\x07\xa1a\x07\xa1b", "malformed"),  # an agent twice
        (b"\x81\xa1\xff\x01", "malformed"),  # bad UTF-8
        (b"\x81\x01\x01", "malformed"),
        (b"\x81\xa1v\xd0\xff", "malformed"),
        (b"\x81\xa1v\xd3" + b"\xff" * 8, "malformed"),
        (b"\x81\xa1v\xd7\xff" + bytes(8), "malformed"),  # a timestamp
        (b"\x81\xa1v\xc7\0\x05", "malformed"),  # an extension type
        (b"\xdf\xff\xff\xff\xff", "too_large"),  # maps, arrays, texts and blocks of 2**32 - 1
        (b"\xdd\xff\xff\xff\xff", "malformed"),
        (b"\x81\xdb\xff\xff\xff\xff", "too_large"),
        (b"\x81\xa1c\xdf\xff\xff\xff\xff", "too_large"),
        (b"\x81\xa1c\x81\xa1a\xdd\xff\xff\xff\xff", "too_large"),
        (b"\x81\xa1c\x81\xa1a\x92\xa0\xc6\xff\xff\xff\xff", "too_large"),
        (b"\x81\xa1c\x81\xa1a\x92\xa0\xc6\x00\x7f\xff\xff", "truncated"),
        (b"\x81\xa5names\xdf\xff\xff\xff\xff", "too_large"),
        (b"\x91" * 100_000, "malformed"),
        (b"\x81\xa1c" * 100_000, "malformed"),
        (b"\xdd\x00\x7f\xff\xff" * 100_000, "malformed"),
        (bytes(MAX_RECORD_BYTES + 1), "too_large"),
        (encode_frame(SEVEN) + b"\0", "malformed"),
        (encode_frame(SEVEN) * 2, "malformed"),
    ],
)
def test_hostile_bytes_are_refused_before_memory_grows(record: bytes, reason: str) -> None:
    """Depth, absurd counts and foreign types are refused with their reason, within 100 kB of memory."""
    tracemalloc.start()
    try:
        assert outcome_of(record) == reason
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "tag", ["\xcc\x07", "\xcd\0\x07", "\xce\0\0\0\x07", "\xd0\x07", "\xd1\0\x07", "\xd3" + "\0" * 7 + "\x07"]
)
def test_integers_may_have_any_msgpack_form(tag: str) -> None:
    """A count written longer than needed, or as a signed integer, is read as what it says."""
    record = msgpack.packb(as_map(SEVEN)).replace(b"\xa1n\x07", b"\xa1n" + tag.encode("latin-1"))
    assert decode_frame(record).columns["x_m"].size == 7


@pytest.mark.parametrize(
    ("bad_columns", "reason"),
    [
        ({"x_m": SEVEN["x_m"].astype("<f8")}, "dtype"),
        ({"x_m": SEVEN["x_m"].astype(">f4")}, "dtype"),
        ({"x_m": SEVEN["x_m"][:6]}, "length"),
        ({"Speed": SEVEN["x_m"]}, "columns"),
    ],
)
def test_the_encoder_refuses_what_the_decoder_would(bad_columns: Columns, reason: str) -> None:
    """Columns of another type, length or name are refused with the decoder's reason."""
    with pytest.raises(BadRecord) as refused:
        encode_frame(SEVEN | bad_columns)
    assert refused.value.reason == reason


def test_the_largest_frames_are_read_and_larger_ones_not_written() -> None:
    """65,536 events with a name each make a frame; one more event, 30 more columns or a long name do not."""
    most: Columns = {name: np.zeros(MAX_RECORD_EVENTS, column_dtype(name)) for name in SEVEN}
    names = {agent: str(agent) for agent in range(MAX_RECORD_EVENTS)}
    frame = decode_frame(encode_frame(most, names=names))
    assert frame.columns["x_m"].size == MAX_RECORD_EVENTS
    assert frame.names == names
    one_more = {name: np.zeros(MAX_RECORD_EVENTS + 1, column_dtype(name)) for name in SEVEN}
    for refused, texts_of in (
        (one_more, {}),
        (most, {1: "a" * 256}),
        (most, names | {MAX_RECORD_EVENTS: ""}),
    ):
        with pytest.raises(BadRecord, match="at most"):
            encode_frame(refused, names=texts_of)
    with pytest.raises(BadRecord, match=str(MAX_RECORD_BYTES)):
        encode_frame(most | {f"m{k}": most["x_m"] for k in range(30)})
