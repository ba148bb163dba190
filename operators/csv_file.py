"""CSV, with a header, in batches of text columns: what a text means is for the mapping to say, not to be guessed.

The separator is the one of , ; tab | that the header has most of. Rows with more or fewer fields than the header, and
rows that are not UTF-8, are broken rows; a quote that is never closed is an error, as nobody knows where its row ends.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
from numpy.typing import NDArray

from kernels.errors import AuraError
from kernels.schema import MAX_RECORD_BYTES
from operators.raw_batch import CSV_TYPE, BrokenRow, RawBatch

__all__ = ["csv_columns", "read_csv"]

_SEPARATORS = ",;\t|"
_HEADER_LINES = 2  # of the file's rows as pyarrow counts them: it starts at 1, with the header


def csv_columns(path: Path) -> list[str]:
    """Return the names of the columns.

    Raises
    ------
    AuraError
        The first line is no header: a name is empty, there twice, or a number.
    """
    return _header(path)[0]


def read_csv(path: Path, batch_rows: int) -> Iterator[RawBatch]:
    """Yield the rows, at most `batch_rows` at a time; a block of 8 MiB is in memory."""
    names, separator = _header(path)
    broken: list[BrokenRow] = []

    def note(row: pv.InvalidRow) -> str:
        detail = f"{row.actual_columns} fields, expected {row.expected_columns}"
        broken.append(BrokenRow(row.number - _HEADER_LINES, row.text.encode(), CSV_TYPE, detail))
        return "skip"

    blocks = pv.open_csv(
        path,
        pv.ReadOptions(use_threads=False, block_size=MAX_RECORD_BYTES),  # in one thread rows are counted
        pv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=note),
        pv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary())),
    )
    first, skipped = 0, np.empty(0, np.int64)
    for block in blocks:
        skipped = np.append(skipped[skipped >= first], [row.row for row in broken])
        rows = _numbers(first, block.num_rows, skipped)
        first = int(rows[-1]) + 1 if len(rows) else first
        for start in range(0, max(block.num_rows, 1), batch_rows):
            yield _decoded(block.slice(start, batch_rows), rows[start : start + batch_rows], broken)
            broken.clear()
    if broken:
        yield RawBatch(pa.RecordBatch.from_pylist([], blocks.schema), np.empty(0, np.int64), broken)


def _header(path: Path) -> tuple[list[str], str]:
    """Return the names of the columns, and the separator."""
    with path.open("rb") as file:
        line = file.readline(MAX_RECORD_BYTES).decode("utf-8-sig")
    separator = max(_SEPARATORS, key=line.count)
    names = next(csv.reader([line], delimiter=separator), [])
    wrong = [name for name in names if not name or names.count(name) > 1 or _is_number(name)]
    if wrong or not names:
        shown = f"{wrong[0]!r} is empty, a number or there twice" if wrong else "it is empty"
        raise AuraError(f"{path}: the first line is no header: {shown}", "Put the names of the columns there")
    return names, separator


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(first: int, count: int, skipped: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of `count` rows from `first` on, without the skipped ones."""
    return np.setdiff1d(np.arange(first, first + count + len(skipped)), skipped, assume_unique=True)[:count]


def _decoded(block: pa.RecordBatch, rows: NDArray[np.int64], broken: list[BrokenRow]) -> RawBatch:
    """Return a block of bytes as text, without the rows that are no text."""
    try:
        return RawBatch(_as_text(block), rows, tuple(broken))
    except pa.ArrowInvalid:
        good = np.array([all(_is_text(value) for value in row.values()) for row in block.to_pylist()])
    bad = block.filter(pa.array(~good)).to_pylist()
    found = [
        BrokenRow(int(number), b",".join(row.values()), CSV_TYPE, "not UTF-8")
        for number, row in zip(rows[~good], bad, strict=True)
    ]
    return RawBatch(_as_text(block.filter(pa.array(good))), rows[good], (*broken, *found))


def _as_text(block: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [column.cast(pa.string()) for column in block.columns], block.schema.names
    )


def _is_text(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
