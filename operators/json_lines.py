"""JSON lines: one object a line, in batches of columns of Python values, each as typed as the line has it.

A line that is no object is a broken row. Blank lines are nothing. NaN and Infinity are taken, though they are not JSON:
Python writes them. Values that are lists or objects may stand in columns that nothing is taken from.
"""

import json
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kernels.errors import AuraError
from kernels.schema import MAX_RECORD_BYTES
from operators.raw_batch import JSON_TYPE, BrokenRow, RawBatch

__all__ = ["json_columns", "read_json_lines"]

_LOOKED_AT = 1_000
_MARK = b"\xef\xbb\xbf"  # of byte order, which some editors put in front of UTF-8


def json_columns(path: Path) -> list[str]:
    """Return the keys of the first 1,000 rows, in the order of their appearance."""
    first = next(read_json_lines(path, _LOOKED_AT), None)
    return [] if first is None else list(first.table)


def read_json_lines(path: Path, batch_rows: int) -> Iterator[RawBatch]:
    """Yield the rows, at most `batch_rows` at a time.

    Raises
    ------
    AuraError
        A line is over 8 MiB.
    """
    with path.open("rb") as file:
        lines = enumerate(line for line in _lines(path, file) if line.strip())
        while numbered := list(islice(lines, batch_rows)):
            yield _batch(numbered)


def _lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Yield lines without their ends; an iterator of the file's own would read a line of any length."""
    for number in count(1):
        line = file.readline(MAX_RECORD_BYTES + 1)
        if len(line) > MAX_RECORD_BYTES:
            hint = "JSON lines have one object a line; an array of objects has to be taken apart first"
            raise AuraError(f"{path}: line {number} is over {MAX_RECORD_BYTES} bytes", hint)
        if not line:
            return
        yield (line.removeprefix(_MARK) if number == 1 else line).rstrip(b"\r\n")


def _batch(numbered: list[tuple[int, bytes]]) -> RawBatch:
    rows: list[dict[str, Any]] = []
    kept: list[tuple[int, bytes]] = []
    broken = []
    for number, line in numbered:
        try:
            rows.append(_object(line))
            kept.append((number, line))
        except (ValueError, RecursionError) as error:
            broken.append(BrokenRow(number, line, JSON_TYPE, f"{error}"[:200]))
    keys = dict.fromkeys(key for row in rows for key in row)
    table = {key: [row.get(key) for row in rows] for key in keys}
    return RawBatch(
        table, np.array([number for number, _ in kept], np.int64), broken, [line for _, line in kept]
    )


def _object(line: bytes) -> dict[str, Any]:
    value = json.loads(line.decode("utf-8"))
    if type(value) is not dict:
        raise ValueError(f"{type(value).__name__}, expected an object")
    return value
