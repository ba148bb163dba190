"""Files as raw rows: Parquet, CSV and JSON lines, by the file's suffix, in batches.

.parquet            typed columns
.csv                text columns (operators.csv_file)
.jsonl .ndjson      Python values (operators.json_lines)
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kernels.errors import AuraError, ConfigError
from operators.csv_file import csv_columns, read_csv
from operators.json_lines import json_columns, read_json_lines
from operators.raw_batch import RawBatch

__all__ = ["SUFFIXES", "read_batches", "schema_columns"]


def read_batches(path: Path, batch_rows: int) -> Iterator[RawBatch]:
    """Yield the rows of a file in its order, at most `batch_rows` at a time.

    Raises
    ------
    ConfigError
        There is no such file, or its suffix is none of the above.
    AuraError
        It is empty or cannot be read; a row that cannot be read is not an error but a `BrokenRow`.
    """
    path, read = _open(path)
    with _reading(path):
        yield from read.batches(path, batch_rows)


def schema_columns(path: Path) -> list[str]:
    """Return the names of a file's columns, of JSON lines the keys of the first 1,000 rows.

    Raises
    ------
    ConfigError, AuraError
        As of `read_batches`.
    """
    path, read = _open(path)
    with _reading(path):
        return read.columns(path)


class _Format(NamedTuple):
    columns: Callable[[Path], list[str]]
    batches: Callable[[Path, int], Iterator[RawBatch]]


def _parquet_columns(path: Path) -> list[str]:
    names: list[str] = pq.read_schema(path).names
    return names


def _read_parquet(path: Path, batch_rows: int) -> Iterator[RawBatch]:
    first = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_rows, use_threads=False):
            yield RawBatch(batch, np.arange(first, first + batch.num_rows))
            first += batch.num_rows


_JSON = _Format(json_columns, read_json_lines)
_FORMATS: Mapping[str, _Format] = {
    ".parquet": _Format(_parquet_columns, _read_parquet),
    ".csv": _Format(csv_columns, read_csv),
    ".jsonl": _JSON,
    ".ndjson": _JSON,
}
SUFFIXES = tuple(_FORMATS)
"""The suffixes of files that can be read."""


def _open(path: Path) -> tuple[Path, _Format]:
    path = Path(path)
    read = _FORMATS.get(path.suffix.lower())
    if read is None:
        raise ConfigError(
            f"{path}: files named {path.suffix or 'without a suffix'!r} cannot be read; allowed: {', '.join(SUFFIXES)}"
        )
    if not path.is_file():
        raise ConfigError(
            f"{path}: {'not a file' if path.exists() else 'no such file'}", f"Looked for {path.absolute()}"
        )
    if path.stat().st_size == 0:
        raise AuraError(f"{path} is empty")
    return path, read


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        cause = str(error).partition("\n")[0][:300]
        raise AuraError(f"{path} cannot be read as {path.suffix.lower()[1:]}: {cause}") from error
