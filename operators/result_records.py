"""Results as the values of records: columns in msgpack, or an array of JSON objects; the same rows come back.

    {"v": 1, "n": R, "id": text, "c": {name: [dtype, R x itemsize bytes], ...}, "t": {name: [R texts], ...}}

A result of more than 4 MiB is cut into parts; the header `part` says which of how many, the header `id` what it is about.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from kernels.errors import BadRecord
from kernels.msgpack_reader import MsgpackReader
from kernels.row_writer import encode_rows
from kernels.rows import decode_rows
from kernels.schema import MAX_TEXT_BYTES, Columns
from operators.cell_records import JSON_TYPE, read_blocks, rows_per_record
from operators.result import KINDS, Kind, Result

__all__ = ["RESULT_TYPE", "decode_result", "encode_result"]

RESULT_TYPE = "application/vnd.aura.result"
"""Content type of the columns."""
_VERSION = 1
_MAX_COLUMNS = 64
_MAX_ROWS = 2**20


def encode_result(result: Result, *, as_json: bool) -> Iterator[tuple[bytes, str]]:
    """Yield the value of each part of a result, and which of how many it is."""
    columns = dict(result.columns)
    rows = rows_per_record(columns, as_json=as_json)
    parts = max(1, -(-len(result) // rows))
    for part in range(parts):
        own = {name: values[part * rows : (part + 1) * rows] for name, values in columns.items()}
        yield (_as_json(own) if as_json else _as_columns(result.id, own)), f"{part}/{parts}"


def decode_result(kind: str, key: str, value: bytes, headers: Mapping[str, bytes]) -> Result:
    """Return the part of a result that a record holds.

    Raises
    ------
    BadRecord
        It was not made by `encode_result`.
    """
    about = headers.get("id", key.encode()).decode()
    about = about.rpartition("/")[0] if headers["part"].split(b"/")[0] != b"0" else about
    read = _read_json if headers["content-type"] == JSON_TYPE.encode() else _read_columns
    columns = read(KINDS[kind], value)
    level = int(headers["degradation"]) if "degradation" in headers else None
    return Result(kind, about, columns, int(headers["revision"]), level)


def _as_json(columns: Columns) -> bytes:
    size = len(next(iter(columns.values())))
    return encode_rows(columns, "json", per_record=max(size, 2))[0] if size else b"[]"


def _as_columns(about: str, columns: Columns) -> bytes:
    numbers = {n: [v.dtype.str, v.tobytes()] for n, v in columns.items() if v.dtype.kind != "O"}
    texts = {n: v.tolist() for n, v in columns.items() if v.dtype.kind == "O"}
    size = len(next(iter(columns.values())))
    value: bytes = msgpack.packb({"v": _VERSION, "n": size, "id": about, "c": numbers, "t": texts})
    return value


def _read_columns(kind: Kind, value: bytes) -> dict[str, NDArray[Any]]:
    reader, fields = MsgpackReader(value), dict[str, Any]()
    for _ in range(reader.count("map", most=5)):
        key = reader.text(most=MAX_TEXT_BYTES)
        if key == "c":
            fields[key] = read_blocks(reader, value, fields.get("n", 0), lambda name: _codes(kind, name))
        elif key == "t":
            fields[key] = _read_texts(reader)
        else:
            fields[key] = reader.text(most=MAX_TEXT_BYTES) if key == "id" else reader.integer()
    reader.finish()
    if fields.keys() != {"v", "n", "id", "c", "t"} or fields["v"] != _VERSION:
        raise BadRecord("version", f"version {fields.get('v')} with {', '.join(fields)}, expected {_VERSION}")
    found = fields["c"] | fields["t"]
    _check(kind, found)
    return {name: found[name] for name in dict.fromkeys((*kind.columns, *found))}


def _codes(kind: Kind, name: str) -> tuple[str, ...]:
    return (kind.dtype(name).str,) if name in kind.columns or kind.further else ()


def _read_texts(reader: MsgpackReader) -> dict[str, NDArray[Any]]:
    columns = {}
    for _ in range(reader.count("map", most=_MAX_COLUMNS)):
        name = reader.text(most=MAX_TEXT_BYTES)
        size = reader.count("array", most=_MAX_ROWS)
        columns[name] = np.array([reader.text(most=len(reader.data)) for _ in range(size)], object)
    return columns


def _read_json(kind: Kind, value: bytes) -> dict[str, NDArray[Any]]:
    rows = decode_rows(value, "json") or {name: [] for name in kind.columns}
    if missing := kind.columns.keys() - rows.keys():
        raise BadRecord("columns", f"required columns missing: {', '.join(sorted(missing))}")
    names = dict.fromkeys((*kind.columns, *(rows if kind.further else ())))
    found = {name: _column(kind.dtype(name), rows[name]) for name in names}
    _check(kind, found)
    return found


def _column(dtype: np.dtype[Any], values: list[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        values = [np.nan if value is None else value for value in values]
    try:
        return np.array(values, dtype)
    except (OverflowError, TypeError, ValueError) as error:
        raise BadRecord("malformed", f"no column of {dtype}: {error}") from None


def _check(kind: Kind, columns: Mapping[str, NDArray[Any]]) -> None:
    if (wrong := kind.differing(columns)) or len({len(values) for values in columns.values()}) > 1:
        raise BadRecord("columns", f"columns {', '.join(columns)}, differing (got, expected): {wrong}")
