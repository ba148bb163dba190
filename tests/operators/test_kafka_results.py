import json
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import BadRecord
from operators import cell_records
from operators.alerts import FIELDS
from operators.batch import Alerts, DeadLetter, Late
from operators.cells import Cells
from operators.kafka_results import Message, decode_output, encode_output

WINDOWS = ["minute", "hour"]


def cells(starts: list[int], rows_each: int = 3, revision: int = 0) -> Cells:
    """Result rows of some windows of one shard, with a null in every place that can have one."""
    size = len(starts) * rows_each
    number = np.arange(size)
    columns = {
        "window": np.ones(size, np.int16),
        "start_us": np.repeat(np.array(starts, np.int64), rows_each),
        "end_us": np.repeat(np.array(starts, np.int64) + 60, rows_each),
        "cx": number.astype(np.int32),
        "cy": np.zeros(size, np.int32),
        "cz": -np.ones(size, np.int32),
        "count": number + 2**53,
        "agents": np.full(size, -1),
        "energy_count": number,
        "energy_mean": np.where(number % 2, 0.1 * number, np.nan),
        "score": np.where(number % 2, 0.1, np.nan).astype(np.float32),
        "revision": np.full(size, revision, np.int32),
    }
    return Cells(5, columns, WINDOWS)


def headers_of(message: Message) -> Mapping[str, bytes]:
    """The headers that a message has once it is written."""
    return dict(message.headers) | {"revision": b"%d" % message.revision}


@pytest.mark.parametrize("json_rows", [False, True])
def test_result_rows_come_back_bit_by_bit(json_rows: bool) -> None:
    """One record per window start, from which the same columns with the same types and bits are read."""
    given_cells = cells([-60, 0, 60], revision=2)
    messages = list(encode_output(given_cells, json_rows=json_rows, model=lambda _: "f" * 64))
    assert [m.key for m in messages] == ["hour/-60/5", "hour/0/5", "hour/60/5"]
    assert {m.revision for m in messages} == {2}
    for number, message in enumerate(messages):
        back = decode_output("cells", message.key, message.value, headers_of(message))
        assert isinstance(back, Cells)
        assert (back.shard, back.windows) == (5, ["hour"])
        for name, values in given_cells.columns.items():
            if name != "window":
                expected = values[3 * number : 3 * number + 3]
                assert back.columns[name].dtype == expected.dtype, name
                assert back.columns[name].tobytes() == expected.tobytes(), name


def test_json_rows_are_an_array_of_objects_with_null_where_there_is_no_value() -> None:
    """Any dashboard can read a record: names, numbers, nulls."""
    (message,) = encode_output(cells([0], rows_each=1), json_rows=True)
    (row,) = json.loads(message.value)
    assert row["window"] == "hour"
    assert (row["count"], row["energy_mean"]) == (2**53, None)


def test_what_a_record_says_does_not_depend_on_the_windows_that_closed_with_it() -> None:
    """The same window of the same shard gives the same bytes, alone or among others."""
    among = {m.key: m.content() for m in encode_output(cells([0, 60]))}
    for start in (0, 60):
        rows = cells([0, 60]).columns["start_us"] == start
        alone = Cells(5, {n: v[rows] for n, v in cells([0, 60]).columns.items()}, WINDOWS)
        (message,) = encode_output(alone)
        assert message.content() == among[message.key]


def test_the_revision_is_no_part_of_what_a_record_says() -> None:
    """An amended window with the same rows has the same content; with another model it has not."""
    contents = [
        next(encode_output(cells([0], revision=r), model=m and (lambda _, m=m: m))).content()
        for r, m in ((0, "a"), (1, "a"), (0, "b"))
    ]
    assert contents[0] == contents[1] != contents[2]


def test_a_large_result_is_cut_into_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is a record of its own key that says how many there are."""
    monkeypatch.setattr(cell_records, "_VALUE_BYTES", 200)
    messages = list(encode_output(cells([0], rows_each=7)))
    assert [m.key for m in messages] == ["hour/0/5", "hour/0/5/1", "hour/0/5/2"]
    assert [headers_of(m)["part"] for m in messages] == [b"0/3", b"1/3", b"2/3"]
    back = [decode_output("cells", m.key, m.value, headers_of(m)) for m in messages]
    assert np.concatenate([b.columns["cx"] for b in back]).tolist() == list(range(7))


@given(st.data())
def test_a_damaged_result_is_refused(data: st.DataObject) -> None:
    """Whatever bytes stand in the topic, reading them raises BadRecord or gives rows."""
    (message,) = encode_output(cells([0]))
    value = bytearray(message.value)
    for _ in range(data.draw(st.integers(0, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(value[: data.draw(st.integers(0, len(value)))])
    for content in (b"application/vnd.aura.cells", b"application/json"):
        try:
            decode_output("cells", message.key, cut, {**headers_of(message), "content-type": content})
        except BadRecord:
            continue


def test_late_events_and_dead_letters_come_back_whole() -> None:
    """A late event is a frame of one row, a dead letter its own bytes; both know where they stood."""
    columns = {"agent_id": np.array([1, 2], "<u8"), "time_us": np.array([-5, 7], "<i8")}
    columns |= {axis: np.array([0.5, 1.5], "<f4") for axis in ("x_m", "y_m", "z_m")}
    late = Late("a/b.c", 3, columns, np.array([10, 11]), np.array([0, 4]), np.array([99, 98]))
    keys = []
    for number, message in enumerate(encode_output(late)):
        back = decode_output("late", message.key, message.value, headers_of(message))
        assert isinstance(back, Late)
        assert (back.topic, back.partition, back.behind_us.tolist()) == ("a/b.c", 3, [99 - number])
        assert {n: v.tolist() for n, v in back.columns.items()} == {
            n: [v[number]] for n, v in columns.items()
        }
        keys.append(message.key)
    assert keys == ["a/b.c/3/10/0", "a/b.c/3/11/4"]
    dead = DeadLetter("t", 1, 2, -1, b"\xff\0", "text/plain", "decode", "malformed", "half a \ud800 pair")
    (message,) = encode_output(dead)
    back = decode_output("dead_letters", message.key, message.value, headers_of(message))
    assert back == DeadLetter("t", 1, 2, -1, b"\xff\0", "text/plain", "decode", "malformed", "half a ? pair")


def test_a_dead_letter_never_outgrows_what_the_broker_takes() -> None:
    """A record that fills its topic's limit is cut to 8 MiB, and says so."""
    dead = DeadLetter("t", 1, 2, -1, bytes(8 * 2**20 + 9), "x", "decode", "too_large")
    (message,) = encode_output(dead)
    assert len(message.value) == 8 * 2**20
    assert headers_of(message)["cut"] == b"%d" % (8 * 2**20 + 9)


def test_alerts_are_keyed_by_whom_they_are_about() -> None:
    """An alert's key is its agent or its cell; its id adds the time and the model, not the score."""
    agent = dict.fromkeys(FIELDS) | {
        "kind": "agent",
        "agent_id": 2**64 - 1,
        "time_us": 5,
        "model": "m",
        "score": 0.5,
    }
    cell = dict.fromkeys(FIELDS) | {
        "kind": "cell",
        "window": "hour",
        "start_us": 0,
        "cx": 1,
        "cy": 2,
        "cz": 3,
    }
    cell |= {"model": "m", "revision": 4, "score": 0.25}
    messages = list(encode_output(Alerts([agent, cell])))
    assert [(m.key, m.id, m.revision) for m in messages] == [
        ("18446744073709551615", "agent/18446744073709551615/5/m", 0),
        ("hour/1/2/3", "cell/hour/1/2/3/0/m", 4),
    ]
    back = [decode_output("alerts", m.key, m.value, headers_of(m)) for m in messages]
    assert [b.rows[0] for b in back] == [agent, cell]
