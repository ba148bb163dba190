"""Sessions in a log: each comes back bit by bit, and a reader of the log sees those that stand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import BadRecord
from operators.kafka_results import decode_output, encode_output
from operators.kafka_sessions import Standing, decode_session, encode_sessions
from operators.session import Sessions


def sessions(*rows: tuple[int, int, int, bool]) -> Sessions:
    """Sessions of one agent: start, end, revision, withdrawn."""
    size = len(rows)
    start_us, end_us, revision, withdrawn = zip(*rows, strict=True)
    columns = {
        "window": np.ones(size, np.int16),
        "start_us": np.array(start_us, np.int64),
        "end_us": np.array(end_us, np.int64),
        "agent_id": np.full(size, 2**64 - 3, np.uint64),
        "count": np.full(size, 2**53 + 1),
        "energy_count": np.arange(size),
        "energy_sum": np.arange(size) * 0.1,
        "energy_mean": np.full(size, np.nan),
        "revision": np.array(revision, np.int32),
        "withdrawn": np.array(withdrawn, np.bool_),
    }
    return Sessions(5, columns, ["other", "visit"])


def test_sessions_come_back_bit_by_bit() -> None:
    """One record a session, from which the same columns with the same types and bits are read."""
    given_rows = sessions((-60, 7, 0, False), (9, 12, 3, True))
    messages = list(encode_output(given_rows))
    assert [m.key for m in messages] == [f"visit/{2**64 - 3}/-60", f"visit/{2**64 - 3}/9"]
    assert [m.revision for m in messages] == [0, 3]
    for row, message in enumerate(messages):
        headers = dict(message.headers) | {"revision": b"%d" % message.revision}
        back = decode_output("sessions", message.key, message.value, headers)
        assert isinstance(back, Sessions)
        assert back.windows == ["visit"]
        for name, values in given_rows.columns.items():
            if name != "window":
                assert back.columns[name].dtype == values.dtype, name
                assert back.columns[name].tobytes() == values[row : row + 1].tobytes(), name


def test_a_log_tells_what_stands() -> None:
    """A withdrawn session leaves, and one whose withdrawal was lost is replaced by what it is a part of now."""
    standing = Standing()
    log = [(0, 5, 0, False), (20, 25, 0, False), (40, 45, 0, False), (0, 5, 1, True), (0, 25, 2, False)]
    for row in log:
        standing.put(sessions(row))
    found = [(int(s.columns["start_us"][0]), int(s.columns["end_us"][0])) for s in standing.rows()]
    assert sorted(found) == [(0, 25), (40, 45)]


def test_what_stands_does_not_depend_on_where_a_crash_fell() -> None:
    """The whole of a session may stand in the log before a part of it that a repetition publishes and withdraws."""
    whole, part, withdrawn = (0, 25, 0, False), (20, 25, 0, False), (20, 25, 1, True)
    for log in ([whole], [whole, part], [whole, part, withdrawn], [part, whole], [part, withdrawn, whole]):
        standing = Standing()
        for row in log:
            standing.put(sessions(row))
        (found,) = standing.rows()
        assert (found.columns["start_us"][0], found.columns["end_us"][0]) == (0, 25)


@given(st.data())
def test_a_damaged_record_is_refused(data: st.DataObject) -> None:
    """Whatever bytes stand in the topic, reading them raises BadRecord or gives a row."""
    ((_, value, _),) = encode_sessions(sessions((0, 5, 0, False)))
    damaged = bytearray(value)
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        assert len(decode_session(cut, 0)) == 1
    except BadRecord:
        return


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agent_id", None),
        ("agent_id", -1),
        ("start_us", 1.5),
        ("end_us", 2**70),
        ("withdrawn", 1),
        ("count", "1"),
    ],
)
def test_a_wrong_type_is_refused(name: str, value: object) -> None:
    """A record that lacks what a session is known by, or has another type there, is no session."""
    ((_, text, _),) = encode_sessions(sessions((0, 5, 0, False)))
    with pytest.raises(BadRecord):
        decode_session(json.dumps(json.loads(text) | {name: value}).encode(), 0)
