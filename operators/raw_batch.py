"""What a reader hands on: raw rows by column, where each stood, and how to write one down again."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.raw_rows import Table

__all__ = ["CSV_TYPE", "JSON_TYPE", "BrokenRow", "RawBatch"]

JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"


class BrokenRow(NamedTuple):
    """A row that could not be read: its number in the file, its bytes, how they were meant, and what is wrong."""

    row: int
    value: bytes
    content_type: str
    detail: str


@dataclass(frozen=True)
class RawBatch:
    """N raw rows of a file.

    Parameters
    ----------
    table
        Their columns.
    rows
        (N,) the number of each in the file, counted from 0 without the header.
    broken
        Rows in between that could not be read.
    lines
        The text of each of the N rows, where the file has them as JSON; else None.
    """

    table: Table
    rows: NDArray[np.int64]
    broken: Sequence[BrokenRow] = ()
    lines: Sequence[bytes] | None = None

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.table) if isinstance(self.table, Mapping) else list(self.table.schema.names)

    def as_json(self, index: Sequence[int]) -> list[bytes]:
        """Return the rows at (K,) places, each as a JSON object: the file's own line if it has one."""
        if self.lines is not None:
            return [self.lines[i] for i in index]
        batch: pa.RecordBatch = self.table
        columns = [_plain(column.take(pa.array(index, pa.int64()))) for column in batch.columns]
        return [_encode(dict(zip(self.columns, row, strict=True))) for row in zip(*columns, strict=True)]


def _plain(column: pa.Array) -> list[Any]:
    """Return values that JSON can hold, times as text."""
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.string())
    return [_finite(value) for value in column.to_pylist()]


def _finite(value: Any) -> Any:
    return (
        repr(value) if isinstance(value, float) and not math.isfinite(value) else value
    )  # text that a mapping reads


def _encode(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str).encode()
