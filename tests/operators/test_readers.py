"""Files of each kind as raw rows: all of them, in order, in bounded batches; what cannot be read is named, not lost."""

import json
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import vehicle_rows, write_csv, write_json_lines

from kernels.errors import AuraError, ConfigError
from operators.csv_file import number_rows
from operators.raw_batch import BrokenRow, RawBatch
from operators.readers import read_batches, schema_columns

ROWS = vehicle_rows(100)


def _write(folder: Path, suffix: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"rows{suffix}"
    if suffix == ".csv":
        return write_csv(path, rows)
    if suffix == ".parquet":
        typed = {key: [None if row[key] is None else str(row[key]) for row in rows] for key in rows[0]}
        pq.write_table(pa.table(typed), path)
        return path
    return write_json_lines(path, rows)


def _rows(batches: list[RawBatch]) -> list[dict[str, Any]]:
    """Return the rows of batches, a null where a row lacks a column."""
    found: list[dict[str, Any]] = []
    for batch in batches:
        table = batch.table if isinstance(batch.table, dict) else batch.table.to_pydict()
        found += [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return found


def _read(path: Path, text: str | bytes, batch_rows: int = 1_000) -> list[RawBatch]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_batches(path, batch_rows))


def _numbers(batches: list[RawBatch]) -> list[int]:
    return [row for batch in batches for row in batch.rows.tolist()]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".ndjson", ".CSV"])
@pytest.mark.parametrize("batch_rows", [1, 7, 100, 1_000])
def test_all_rows_in_order(tmp_path: Path, suffix: str, batch_rows: int) -> None:
    """Every row comes once, in order, with its number, in batches no larger than asked for."""
    path = _write(tmp_path, suffix.lower(), ROWS).rename(tmp_path / f"other{suffix}")
    batches = list(read_batches(path, batch_rows))
    assert max(len(batch.rows) for batch in batches) <= batch_rows
    assert _numbers(batches) == list(range(100))
    assert schema_columns(path) == list(ROWS[0])
    texts = [{k: str(v) for k, v in row.items() if v not in {None, ""}} for row in _rows(batches)]
    assert texts == [{k: str(v) for k, v in row.items() if v is not None} for row in ROWS]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_rows_written_down_again(tmp_path: Path, suffix: str) -> None:
    """A row of a batch can be written as a JSON object with the file's own keys."""
    [batch] = read_batches(_write(tmp_path, suffix, ROWS), 1_000)
    for place, value in zip((3, 50), batch.as_json([3, 50]), strict=True):
        found = {k: v for k, v in json.loads(value).items() if v not in {None, ""}}
        assert {k: str(v) for k, v in found.items()} == {
            k: str(v) for k, v in ROWS[place].items() if v is not None
        }


def test_what_json_cannot_hold(tmp_path: Path) -> None:
    """Times and what is not finite are written as texts that a mapping reads, and anything else as some text."""
    path = tmp_path / "typed.parquet"
    columns = {
        "f": [float("nan"), float("-inf")],
        "t": pa.array([0, None], pa.timestamp("ns", "UTC")),
        "b": [b"\xff", None],
    }
    pq.write_table(pa.table(columns), path)
    [batch] = read_batches(path, 10)
    first, second = map(json.loads, batch.as_json([0, 1]))
    assert first == {"f": "nan", "t": "1970-01-01 00:00:00.000000000Z", "b": "b'\\xff'"}
    assert second == {"f": "-inf", "t": None, "b": None}


_MISSHAPEN = [
    ("a,b\n1,2\n3\n4,5,6\n\n7,8\n", {1: b"3", 2: b"4,5,6"}, [0, 3]),
    ("a,b\n1\n", {0: b"1"}, []),
    ("a,b\n1,2\n3", {1: b"3"}, [0]),
    (b"a,b\n1,2\n\xff,3\n4,5\n", {1: b"\xff,3"}, [0, 2]),
    (b"a,b\n\xff\n\xff,3\n\xc3\xa9,5\n", {0: b"\xff", 1: b"\xff,3"}, [2]),
    ('a,b\n1,2\n"3,4\n5,6\n7,8', {1: b'"3,4\n5,6\n7,8'}, [0]),
]


@pytest.mark.parametrize(("text", "broken", "kept"), _MISSHAPEN)
@pytest.mark.parametrize("batch_rows", [1, 1_000])
def test_broken_csv_rows(
    tmp_path: Path, text: str | bytes, broken: dict[int, Any], kept: list[int], batch_rows: int
) -> None:
    """A row of too few or many fields, or that is no text, is a broken row with its number and bytes; others stay."""
    batches = _read(tmp_path / "x.csv", text, batch_rows)
    found = {row.row: row for batch in batches for row in batch.broken}
    assert _numbers(batches) == kept
    assert found.keys() == broken.keys()
    assert all(found[number].value == value for number, value in broken.items())
    assert {row.content_type for row in found.values()} == {"text/csv"}


def test_broken_json_lines(tmp_path: Path) -> None:
    """A line that is no object is a broken row, whole, with its number; blank lines are nothing."""
    lines = [
        b'{"a": 1}',
        b"[1]",
        b'{"a": ',
        b"",
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a": [1], "b": NaN}',
        b"1e5",
        b'{"b": 2}',
    ]
    batches = _read(tmp_path / "x.jsonl", b"\n".join(lines), 2)
    assert [(row.row, row.value) for batch in batches for row in batch.broken] == [
        (number, line)
        for number, line in enumerate(line for line in lines if line)
        if number not in {0, 5, 7}
    ]
    assert _numbers(batches) == [0, 5, 7]
    assert [row.content_type for batch in batches for row in batch.broken] == ["application/json"] * 5


_CSV = [
    ("\ufeffa,b\r\n1,2\r\n", ["a", "b"], [("1", "2")]),
    ("a;b\n1,5;2\n", ["a", "b"], [("1,5", "2")]),
    ("a\tb c\n1\t2\n", ["a", "b c"], [("1", "2")]),
    ("a|b\n1|2\n", ["a", "b"], [("1", "2")]),
    ('"a, b",c\n"x\ny","say ""hi"""\n', ["a, b", "c"], [("x\ny", 'say "hi"')]),
    ("a\n1\n", ["a"], [("1",)]),
    ("größe,Ort\n1,Zürich\n2,東京\n", ["größe", "Ort"], [("1", "Zürich"), ("2", "東京")]),
    ("a,b\n,\n", ["a", "b"], [("", "")]),
    ("id,on\n007,true\n1e3,NULL\n", ["id", "on"], [("007", "true"), ("1e3", "NULL")]),
]


@pytest.mark.parametrize(("text", "names", "rows"), _CSV)
def test_csv_dialects(tmp_path: Path, text: str, names: list[str], rows: list[tuple[str, ...]]) -> None:
    """Separators, quotes, line ends and marks of order are understood, and every value is its text."""
    batches = _read(tmp_path / "x.csv", text)
    assert schema_columns(tmp_path / "x.csv") == names
    assert [tuple(row.values()) for row in _rows(batches)] == rows


@given(
    st.lists(
        st.tuples(st.text('a" ,\n;é', max_size=6), st.text("0.-e", max_size=4)), min_size=1, max_size=20
    ),
    st.integers(1, 9),
)
def test_csv_of_any_text(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], batch_rows: int
) -> None:
    """Whatever texts are written, they are read again, in order."""
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    write_csv(path, [{"text": text, "number": number} for text, number in rows])
    assert [tuple(row.values()) for row in _rows(list(read_batches(path, batch_rows)))] == rows


def test_blocks(tmp_path: Path) -> None:
    """A CSV file of several blocks keeps its numbers, with broken rows on both sides of an edge."""
    good = "x" * 99_998 + ",1\n"
    text = "a,b\n" + (good * 100 + "short\n") * 2 + good
    batches = _read(tmp_path / "x.csv", text, 64)
    assert [row.row for batch in batches for row in batch.broken] == [100, 201]
    assert _numbers(batches) == [n for n in range(203) if n not in {100, 201}]


def test_rows_noted_ahead_keep_their_place() -> None:
    """A broken row of a later block that is noted while an earlier batch is in use is neither lost nor misnumbered."""
    block = pa.RecordBatch.from_pydict({"a": ["x", "y"]})
    early, ahead = (BrokenRow(row, b"z", "text/csv", "short") for row in (1, 4))
    noted = deque([early])
    found = number_rows(iter([block, block, block.slice(2)]), noted, ",", 64)
    first = next(found)
    noted.append(ahead)  # what the reader's thread does
    batches = [first, *found]
    assert [list(batch.broken) for batch in batches] == [[early], [ahead]]
    assert [batch.rows.tolist() for batch in batches] == [[0, 2], [3, 5]]


_UNREADABLE = [
    ("x.parquet", b"PAR1 but not really", "cannot be read as parquet"),
    ("x.csv", b'a,b\n"1,2\n' + b"3,4\n" * 6_000_000, "cannot be read as csv: straddling object"),
    ("x.csv", b"1,2\n3,4\n", "the first line is no header: '1' is empty, a number or there twice"),
    ("x.csv", b"a,a\n3,4\n", "the first line is no header: 'a' is empty"),
    ("x.csv", b"a,\n3,4\n", "the first line is no header: ''"),
    ("x.csv", b"\n3,4\n", "the first line is no header: it is empty"),
    ("x.csv", b"a,b\r1,2\r", "cannot be read as csv: new-line"),
    ("x.csv", b"\xff\xfea\0", "cannot be read as csv"),
    ("x.jsonl", b"x" * (8 * 2**20 + 1), "line 1 is over 8388608 bytes"),
    ("x.csv", b"", "is empty"),
    ("x.jsonl", b"", "is empty"),
]


@pytest.mark.parametrize(("name", "data", "message"), _UNREADABLE, ids=[name for name, _, _ in _UNREADABLE])
def test_unreadable(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    """A file that cannot be read as what it is named is refused with its name and what is wrong."""
    with pytest.raises(AuraError, match=rf"{name}.*{message}|{name}.* {message}"):
        _read(tmp_path / name, data)


def test_damaged_in_the_middle(tmp_path: Path) -> None:
    """A Parquet file with a damaged page is refused by name, not by a trace of the library's."""
    path = _write(tmp_path, ".parquet", ROWS)
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    with pytest.raises(AuraError, match=r"rows.parquet cannot be read as parquet"):
        _read(path, bytes(data))


def test_no_such_file(tmp_path: Path) -> None:
    """A file that is not there, or of an unknown kind, is an error of the configuration that says what is allowed."""
    with pytest.raises(ConfigError, match=r"no such file.*Looked for /"):
        next(read_batches(tmp_path / "x.csv", 10))
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(ConfigError, match="not a file"):
        schema_columns(tmp_path / "x.csv")
    with pytest.raises(ConfigError, match=r"allowed: .parquet, .csv, .jsonl, .ndjson"):
        schema_columns(tmp_path / "x.xlsx")


def test_no_rows(tmp_path: Path) -> None:
    """A file with a header or schema and no rows has columns and no rows."""
    (tmp_path / "x.csv").write_text("a,b\n")
    (tmp_path / "y.csv").write_text("a,b")
    pq.write_table(
        pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.string())}), tmp_path / "x.parquet"
    )
    for path in (tmp_path / "x.csv", tmp_path / "y.csv", tmp_path / "x.parquet"):
        assert schema_columns(path) == ["a", "b"]
        assert sum(len(batch.rows) for batch in read_batches(path, 10)) == 0


def test_json_values_keep_their_types(tmp_path: Path) -> None:
    """JSON lines give each value as it is written: an id that is a number is no text, and the other way round."""
    [batch] = _read(tmp_path / "x.jsonl", '{"id": 7, "v": 1}\n{"id": "7", "v": 2.5, "w": {"x": []}}\n')
    assert batch.table == {"id": [7, "7"], "v": [1, 2.5], "w": [None, {"x": []}]}
    assert batch.rows.dtype == np.int64
