from collections.abc import Sequence
from typing import NamedTuple

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.frame import encode_frame
from kernels.row_writer import encode_rows
from kernels.schema import Columns
from operators.decoded import Decoded
from operators.kafka_records import Decoder
from operators.mapping import Id, Mapping, Planar, Quantity, Time

FRAME = "application/vnd.aura.frame"
ROWS = {"msgpack": "application/vnd.aura.rows+msgpack", "json": "application/vnd.aura.rows+json"}
SHIPS = Mapping(
    agent=Id("mmsi"),
    time=Time("t", "s"),
    position=Planar(Quantity("e", "km"), Quantity("n", "km")),
    columns={"speed_mps": Quantity("sog", "kn")},
)


class Record(NamedTuple):
    """A record as kafka-python gives it, as far as it is read."""

    offset: int
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int = 1_700_000_000_000
    timestamp_type: int = 1


def record(offset: int, value: bytes | None, content_type: str | None) -> Record:
    """A record of that content type."""
    return Record(offset, value, [] if content_type is None else [("content-type", content_type.encode())])


def events(n: int, first: int = 0) -> Columns:
    """N events, numbered by their seq."""
    number = np.arange(first, first + n)
    columns: Columns = {"agent_id": (number % 3).astype("<u8"), "time_us": number.astype("<i8")}
    columns |= {axis: number.astype("<f4") for axis in ("x_m", "y_m", "z_m")}
    return columns | {"seq": number.astype("<u4"), "speed_mps": number.astype("<f4") / 2}


def decoder(*, batch_rows: int = 1024, mapping: Mapping | None = None, default: str = FRAME) -> Decoder:
    """A decoder of events with seq and speed."""
    return Decoder(
        "t", 7, columns=("seq", "speed_mps"), batch_rows=batch_rows, mapping=mapping, default=default
    )


def read(records: Sequence[Record], **options: object) -> list[Decoded]:
    """The batches of records."""
    return list(decoder(**options).decode(records))  # type: ignore[arg-type]


def rows_of(batches: Sequence[Decoded]) -> list[tuple[int, int, int]]:
    """The seq of each row, with the offset and the row at which it stood."""
    found = []
    for batch in batches:
        offset, row = batch.origin.locate(np.arange(len(batch.columns["seq"])))
        found += zip(batch.columns["seq"].tolist(), offset.tolist(), row.tolist(), strict=True)
    return found


def test_the_columns_of_a_frame_are_those_of_its_record() -> None:
    """A frame is not copied, also where it is cut into batches."""
    value = encode_frame(events(1500))
    first, second = read([record(5, value, FRAME)])
    assert [len(b.columns["seq"]) for b in (first, second)] == [1024, 476]
    raw = np.frombuffer(value, np.uint8)
    assert all(np.shares_memory(column, raw) for b in (first, second) for column in b.columns.values())
    assert rows_of([first, second]) == [(n, 5, n) for n in range(1500)]
    assert set(second.broker_us.tolist()) == {1_700_000_000_000_000}


_framing = st.lists(
    st.tuples(st.integers(1, 9), st.sampled_from(["frame", "msgpack", "json", "single"])), max_size=8
)


@given(
    framing=_framing, polls=st.lists(st.integers(1, 4), min_size=1, max_size=3), batch_rows=st.integers(1, 12)
)
def test_framing_encoding_polling_and_batch_size_change_nothing(framing, polls, batch_rows) -> None:
    """The same events come out in the same order with the same columns, each knowing its record and row."""
    records, expected, first = [], [], 0
    for size, form in framing:
        columns = events(size, first)
        if form == "frame":
            values = [(encode_frame(columns), FRAME)]
        elif form == "single":
            values = [(value, ROWS["msgpack"]) for value in encode_rows(columns, "msgpack")]
        else:
            values = [(encode_rows(columns, form, per_record=max(size, 2))[0], ROWS[form])]
        at = first
        for value, content_type in values:
            inside = size // len(values)
            expected += [(at + row, len(records) * 2, row) for row in range(inside)]
            records.append(record(len(records) * 2, value, content_type))
            at += inside
        first += size
    batches, turn = [], 0
    while records:
        taken, records = records[: polls[turn % len(polls)]], records[polls[turn % len(polls)] :]
        batches += read(taken, batch_rows=batch_rows)
        turn += 1
    assert rows_of(batches) == expected
    assert all(len(batch.columns["seq"]) <= batch_rows for batch in batches)
    assert not any(batch.dead for batch in batches)
    for name, values in events(first).items():
        got = [value for batch in batches for value in batch.columns[name].tolist()]
        assert got == values.tolist()
        assert all(batch.columns[name].dtype == values.dtype for batch in batches)


@given(
    values=st.lists(st.binary(max_size=60) | st.none(), min_size=1, max_size=5),
    content_type=st.sampled_from(
        [FRAME, *ROWS.values(), "application/json", "application/msgpack", "x/y", None]
    ),
)
def test_random_bytes_are_one_dead_letter_each_or_rows(values, content_type) -> None:
    """Nothing is lost and nothing raises: each record is rows, or one dead letter with its bytes, or one a row."""
    records = [record(10 + n, value, content_type) for n, value in enumerate(values)]
    batches = read(records, mapping=SHIPS)
    dead = [letter for batch in batches for letter in batch.dead]
    rows = {offset for _, offset, _ in rows_of(batches)}
    for sent in records:
        letters = [letter for letter in dead if letter.offset == sent.offset]
        whole = [letter for letter in letters if letter.row == -1]
        assert len(whole) <= 1
        if whole:
            assert len(letters) == 1
            assert sent.offset not in rows
            assert whole[0].value == (sent.value or b"")
            assert whole[0].reason
            assert (whole[0].topic, whole[0].partition, whole[0].stage) == ("t", 7, "decode")


def test_a_frame_cut_at_every_byte_is_a_dead_letter() -> None:
    """No part of a frame is read as another frame."""
    value = encode_frame(events(3))
    records = [record(n, value[:n], FRAME) for n in range(len(value))]
    dead = [letter for batch in read(records) for letter in batch.dead]
    assert [letter.offset for letter in dead] == list(range(len(value)))
    assert {letter.reason for letter in dead} <= {"truncated", "malformed"}


def test_two_broken_records_do_not_make_a_good_one() -> None:
    """A record that ends early is refused, though the next one goes on where it stopped; its neighbours are read."""
    good = encode_rows(events(1), "msgpack")[0]
    for cut in range(1, len(good)):
        halves = [good[:cut], good[cut:]]
        batches = read([record(n, value, ROWS["msgpack"]) for n, value in enumerate([good, *halves, good])])
        assert [row[1] for row in rows_of(batches)] == [0, 3]
        assert [letter.offset for batch in batches for letter in batch.dead] == [1, 2]


def test_a_json_record_cannot_stand_for_two() -> None:
    """`{..},{..` followed by `..}` is not read as two rows, though it would be with a comma between."""
    records = [record(n, v, ROWS["json"]) for n, v in enumerate([b'{"a":1},{"b":"x', b'y"}'])]
    assert [letter.offset for batch in read(records) for letter in batch.dead] == [0, 1]


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
def test_a_bad_row_leaves_alone_and_can_come_back(encoding: str) -> None:
    """A row that is no event is a dead letter, its neighbours are events; alone it is refused the same way."""
    raw = [
        {"mmsi": 1, "t": 5, "e": 1, "n": 2, "sog": None, "name": "Infinity"},
        {"mmsi": None, "t": 5, "e": 1, "n": 2},
        {"mmsi": 2, "t": "later", "e": 1, "n": float("inf")},
        {"mmsi": 3, "t": 6, "e": 1, "n": 2, "sog": 10},
    ]
    text = "[" + ",".join(str(row) for row in raw) + "]"
    as_json = text.replace("'", '"').replace("None", "null").replace(": inf", ": 1e999").encode()
    value = as_json if encoding == "json" else msgpack.packb(raw)
    (batch,) = read([record(9, value, f"application/{encoding}")], mapping=SHIPS)
    offset, row = batch.origin.locate(np.arange(2))
    assert (offset.tolist(), row.tolist()) == ([9, 9], [0, 3])
    assert batch.columns["x_m"].tolist() == [1000.0, 1000.0]
    assert [(d.row, d.reason) for d in batch.dead] == [(1, "agent_missing"), (2, "bad_type")]
    for letter in batch.dead:
        (again,) = read([record(0, letter.value, letter.content_type)], mapping=SHIPS)
        assert [(d.row, d.reason, d.value) for d in again.dead] == [(0, letter.reason, letter.value)]


def test_one_bad_record_does_not_disturb_its_neighbours() -> None:
    """Of many records of one row, what is broken or no event is set aside, each with its own bytes."""
    good = encode_rows(events(5), "msgpack")
    values = [good[0], b"\xc1", good[1], msgpack.packb({"agent_id": 1}), good[2]]
    (batch,) = read([record(n, value, ROWS["msgpack"]) for n, value in enumerate(values)])
    assert rows_of([batch]) == [(0, 0, 0), (1, 2, 0), (2, 4, 0)]
    assert {(d.offset, d.row, d.value) for d in batch.dead} == {(1, -1, values[1]), (3, 0, values[3])}


def test_content_types_are_read_as_http_does() -> None:
    """Case and parameters do not matter; what is unknown is a dead letter that says what it was."""
    value = encode_rows(events(1), "json")[0]
    assert rows_of(read([record(0, value, "Application/vnd.AURA.rows+json; charset=utf-8")])) == [(0, 0, 0)]
    (batch,) = read([record(0, value, "text/csv")])
    assert (batch.dead[0].reason, batch.dead[0].content_type) == ("content_type", "text/csv")
    assert rows_of(read([record(0, value, None)], default="application/json")) == [(0, 0, 0)]


def test_records_of_different_columns_make_one_batch() -> None:
    """What a record lacks is no value there, what the flow does not know is left out, text ids keep their text."""
    short, long = events(2), events(2) | {"extra": np.ones(2, "<f4")}
    del short["speed_mps"]
    values = [encode_frame(short), encode_frame(long), *encode_rows(short, "json", names={0: "LX1"})]
    types = [FRAME, FRAME, ROWS["json"], ROWS["json"]]
    (batch,) = read([record(n, *pair) for n, pair in enumerate(zip(values, types, strict=True))])
    assert list(batch.columns) == ["agent_id", "time_us", "x_m", "y_m", "z_m", "seq", "speed_mps"]
    assert np.isnan(batch.columns["speed_mps"]).tolist() == [True, True, False, False, True, True]
    assert list(batch.names.values()) == ["LX1"]


def test_a_record_without_the_brokers_time_is_never_from_the_future() -> None:
    """Where the producer sets the time it says nothing about the event's."""
    (batch,) = read([Record(0, encode_frame(events(1)), [], timestamp_type=0)])
    assert batch.broker_us.tolist() == [2**62]
