"""Results of further kinds: as records, as files, as tables, and their digest."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import BadRecord
from operators import cell_records, results
from operators.file_sink import FileSink
from operators.kafka_results import Message, decode_output, encode_output
from operators.result import KINDS, Kind, Result
from operators.result_tables import empty_results, tables_of
from operators.results import digest_result, last_results, published, read_files

NOTES = Kind(
    "aura.notes",
    {"time_us": "i8", "agent_id": "u8", "what": "text", "value": "f4", "score": "f8", "ok": "?"},
    order=("time_us", "what"),
    inexact=frozenset({"score"}),
    further="f8",
)


@pytest.fixture(autouse=True, scope="module")
def _notes() -> Iterator[None]:
    """A kind with a column of each type."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KINDS, "notes", NOTES)
        patch.setitem(results._ORDER, "notes", NOTES.order)
        patch.setattr(results, "KINDS", (*results.KINDS, "notes"))
        yield


def notes(about: str, rows: list[tuple[int, str, float]], revision: int = 0) -> Result:
    """A result of some rows: time, text and value."""
    columns = {
        "time_us": np.array([r[0] for r in rows], np.int64),
        "agent_id": np.array([2**64 - 1 - r[0] for r in rows], np.uint64),
        "what": np.array([r[1] for r in rows], object),
        "value": np.array([r[2] for r in rows], np.float32),
        "score": np.array([r[2] / 3 for r in rows], np.float64),
        "ok": np.array([r[0] % 2 == 0 for r in rows], np.bool_),
        "weight": np.array([r[0] / 7 for r in rows], np.float64),
    }
    return Result("notes", about, columns, revision)


def headers_of(message: Message) -> Mapping[str, bytes]:
    """The headers that a message has once it is written."""
    about = {"id": message.id.encode()} if message.id != message.key else {}
    return dict(message.headers) | about | {"revision": b"%d" % message.revision}


ROWS = [(5, "b ü", 0.1), (5, "a", float("nan")), (3, "", -0.5)]


@pytest.mark.parametrize("json_rows", [False, True])
@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], []])
def test_a_result_comes_back_bit_by_bit(rows: list[tuple[int, str, float]], json_rows: bool) -> None:
    """As columns and as JSON, with one row, with several and with none."""
    (message,) = encode_output(notes("9/1", rows, 2), json_rows=json_rows)
    assert (message.kind, message.key, message.revision) == ("notes", "9/1", 2)
    back = decode_output("notes", message.key, message.value, headers_of(message))
    assert isinstance(back, Result)
    assert (back.kind, back.id, back.revision, len(back)) == ("notes", "9/1", 2, len(rows))
    for name, values in notes("9/1", rows).columns.items():
        if name not in NOTES.columns and json_rows and not rows:
            continue  # nothing in `[]` tells of it
        assert back.columns[name].dtype == values.dtype, name
        np.testing.assert_array_equal(back.columns[name], values, err_msg=name)


def test_a_large_result_is_cut_into_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is a record of its own key, and all of them are of one id."""
    monkeypatch.setattr(cell_records, "_VALUE_BYTES", 180)
    messages = list(encode_output(notes("9/1", ROWS)))
    assert [m.key for m in messages] == ["9/1", "9/1/1"]
    back = [decode_output("notes", m.key, m.value, headers_of(m)) for m in messages]
    assert {b.id for b in back if isinstance(b, Result)} == {"9/1"}
    assert sum(len(b) for b in back if isinstance(b, Result)) == 3


@given(st.data())
def test_a_damaged_result_is_refused(data: st.DataObject) -> None:
    """Whatever bytes stand in the topic, reading them raises BadRecord or gives rows."""
    (message,) = encode_output(notes("9/1", ROWS))
    value = bytearray(message.value)
    for _ in range(data.draw(st.integers(0, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(value[: data.draw(st.integers(0, len(value)))])
    for content in (b"application/vnd.aura.result", b"application/json"):
        try:
            decode_output("notes", message.key, cut, {**headers_of(message), "content-type": content})
        except BadRecord:
            continue


def test_wrong_columns_are_refused_where_the_result_is_made() -> None:
    """The error names the column, the type it has and the one it should have."""
    columns = dict(notes("1", ROWS).columns) | {"value": np.zeros(3)}
    with pytest.raises(TypeError, match=r"value.*float64.*float32"):
        Result("notes", "1", columns)


def test_the_last_revision_is_what_is_published() -> None:
    """All rows of the revision before are replaced, also by none; rows come in the kind's order."""
    outputs = [
        notes("1", [(1, "x", 1.0), (1, "y", 2.0)]),
        notes("2", [(2, "x", 3.0)]),
        notes("1", [(1, "z", 4.0)], 1),
        notes("2", [], 1),
        notes("0", [(0, "b", 5.0), (0, "a", 6.0)]),
    ]
    tables = published(tables_of(outputs), {"notes": empty_results("notes", ["weight"])}, model=None)
    rows = [(r["time_us"], r["what"], r["revision"]) for r in tables["notes"].to_pylist()]
    assert rows == [(0, "a", 0), (0, "b", 0), (1, "z", 1)]
    assert tables["notes"].column_names == [*NOTES.columns, "weight", "revision"]


def test_results_in_files_are_those_that_were_written(tmp_path: Path) -> None:
    """Parts of two snapshots hold what two results said."""
    part = FileSink(tmp_path, 1).build_part("sink", "0", None)
    for result in (notes("1", ROWS), notes("2", [])):
        part.write_batch([result])
        part.snapshot()
    found = last_results(read_files(tmp_path)["notes"], "notes")
    assert sorted(r["what"] for r in found.to_pylist()) == ["", "a", "b ü"]


def test_the_digest_is_of_the_exact_columns_in_any_order() -> None:
    """Order of rows, revision and inexact columns leave it as it is; any exact value changes it; doubles are refused."""

    def of(rows: list[tuple[int, str, float]], revision: int = 0) -> str:
        return digest_result(tables_of([notes("1", rows, revision)])["notes"], "notes")

    table = tables_of([notes("1", ROWS)])["notes"]
    other_score = table.set_column(table.column_names.index("score"), "score", table["value"].cast("double"))
    assert of(ROWS) == of(ROWS[::-1], 3) == digest_result(other_score, "notes")
    assert (
        len({of(ROWS), of([(5, "c", 0.1), *ROWS[1:]]), of([(5, "b ü", 0.2), *ROWS[1:]]), of(ROWS[1:])}) == 4
    )
    with pytest.raises(ValueError, match="differ in time_us, what"):
        of([*ROWS, ROWS[0]])
