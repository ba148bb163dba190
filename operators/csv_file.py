"""CSV, with a header, in batches of text columns: what a text means is for the mapping to say, not to be guessed.

The separator is the one of , ; tab | that the header has most of. Rows with more or fewer fields than the header, and
rows that are not UTF-8, are broken rows. A quote that is never closed makes what follows one broken row, and an error
where that is more than a block or two.
"""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
from numpy.typing import NDArray

from kernels.errors import AuraError
from kernels.schema import MAX_RECORD_BYTES
from operators.raw_batch import CSV_TYPE, BrokenRow, RawBatch

__all__ = ["csv_columns", "number_rows", "read_csv"]

_SEPARATORS = ",;\t|"
_FIRST = 2  # the number of the first row after the header, as pyarrow counts
_BYTES = "latin-1"  # gives any byte a character and back, so that nothing fails before its row is known


class _Header(NamedTuple):
    names: list[str]
    separator: str
    alone: bool


def csv_columns(path: Path) -> list[str]:
    """Return the names of the columns.

    Raises
    ------
    AuraError
        The first line is no header: a name is empty, there twice, or a number.
    """
    return _header(path).names


def read_csv(path: Path, batch_rows: int) -> Iterator[RawBatch]:
    """Yield the rows, at most `batch_rows` at a time; a block of 8 MiB is in memory."""
    header = _header(path)
    if header.alone:
        return
    noted: deque[BrokenRow] = deque()
    yield from number_rows(_open(path, header, noted), noted, header.separator, batch_rows)


def number_rows(
    blocks: Iterable[pa.RecordBatch], noted: deque[BrokenRow], separator: str, batch_rows: int
) -> Iterator[RawBatch]:
    """Give the rows of blocks their numbers, and yield each broken row once, with the next batch.

    The reader parses ahead in a thread of its own: rows of later blocks may come into `noted` at any moment. So what is
    there is taken out once a block, and only that is numbered, yielded and gone.
    """
    first, skipped = 0, np.empty(0, np.int64)
    for block in blocks:
        broken = [noted.popleft() for _ in range(len(noted))]
        skipped = np.append(skipped[skipped >= first], [row.row for row in broken])
        rows = _numbers(first, block.num_rows, skipped)
        first = int(rows[-1]) + 1 if len(rows) else first
        for start in range(0, max(block.num_rows, len(broken) > 0), batch_rows):
            part = slice(start, start + batch_rows)
            yield _decoded(block[part], rows[part], broken if start == 0 else [], separator)


def _open(path: Path, header: _Header, noted: deque[BrokenRow]) -> Iterator[pa.RecordBatch]:
    """Yield blocks, last one without rows; rows of another width go to `noted` before their block comes."""

    def note(row: pv.InvalidRow) -> str:
        detail = f"{row.actual_columns} fields, expected {row.expected_columns}"
        noted.append(BrokenRow(row.number - _FIRST, row.text.encode(_BYTES), CSV_TYPE, detail))
        return "skip"

    blocks = pv.open_csv(
        path,
        pv.ReadOptions(  # in one thread, where rows are counted
            use_threads=False,
            block_size=MAX_RECORD_BYTES,
            encoding=_BYTES,
            column_names=header.names,
            skip_rows=1,
        ),
        pv.ParseOptions(delimiter=header.separator, newlines_in_values=True, invalid_row_handler=note),
        pv.ConvertOptions(column_types=dict.fromkeys(header.names, pa.string()), strings_can_be_null=False),
    )
    yield from blocks
    yield pa.RecordBatch.from_pylist([], blocks.schema)


def _header(path: Path) -> _Header:
    with path.open("rb") as file:
        line = file.readline(MAX_RECORD_BYTES).decode("utf-8-sig")
    separator = max(_SEPARATORS, key=line.count)
    names = next(csv.reader([line], delimiter=separator), [])
    wrong = [name for name in names if not name or names.count(name) > 1 or _is_number(name)]
    if wrong or not names:
        shown = f"{wrong[0]!r} is empty, a number or there twice" if wrong else "it is empty"
        raise AuraError(f"{path}: the first line is no header: {shown}", "Put the names of the columns there")
    return _Header(names, separator, alone=not line.endswith(("\n", "\r")))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(first: int, count: int, skipped: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of `count` rows from `first` on, without the skipped ones."""
    return np.setdiff1d(np.arange(first, first + count + len(skipped)), skipped, assume_unique=True)[:count]


def _decoded(
    block: pa.RecordBatch, rows: NDArray[np.int64], broken: list[BrokenRow], separator: str
) -> RawBatch:
    """Return a block as text, without the rows that are not UTF-8."""
    text = pa.RecordBatch.from_arrays([_as_text(column) for column in block.columns], block.schema.names)
    bad = np.zeros(len(rows), np.bool_)
    for column in text.columns:
        bad |= column.is_null().to_numpy(zero_copy_only=False)
    if not bad.any():
        return RawBatch(text, rows, tuple(broken))
    values = [separator.join(row.values()).encode(_BYTES) for row in block.filter(pa.array(bad)).to_pylist()]
    numbered = zip(rows[bad].tolist(), values, strict=True)
    broken = [*broken, *(BrokenRow(row, value, CSV_TYPE, "not UTF-8") for row, value in numbered)]
    return RawBatch(text.filter(pa.array(~bad)), rows[~bad], broken)


def _as_text(column: pa.Array) -> pa.Array:
    """Return a column with its bytes read as UTF-8, null where they are not."""
    if pc.all(pc.string_is_ascii(column)).as_py() is not False:
        return column
    encoded = column.dictionary_encode()
    texts = [_utf8(text.encode(_BYTES)) for text in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
