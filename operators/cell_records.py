"""Result rows as the value of a record: columns in msgpack, or an array of JSON objects; the same rows come back.

    {"v": 1, "n": R, "window": text, "shard": number, "c": {name: [dtype, R x itemsize bytes], ...}}

A dtype is the numpy text of a little-endian number: "<i4" for cx, cy and cz, "<f4" for the score, "<i8" or "<f8" for
all others. A JSON object has the columns as fields beside `window` and `shard`, null where there is no value.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from kernels.errors import BadRecord
from kernels.msgpack_reader import MsgpackReader
from kernels.row_writer import encode_rows
from kernels.rows import decode_rows
from kernels.schema import MAX_RECORD_BYTES, MAX_TEXT_BYTES, Columns
from operators.cells import Cells

__all__ = ["CELLS_TYPE", "JSON_TYPE", "decode_cells", "encode_cells", "read_blocks", "rows_per_record"]

CELLS_TYPE = "application/vnd.aura.cells"
JSON_TYPE = "application/json"

_VERSION = 1
_VALUE_BYTES = 4 * 1024 * 1024  # well below what a broker takes, and below what a consumer fetches slowly
_JSON_BYTES = 48  # of a value with its name, or of a text, at most on average
_MAX_ROWS = 2**20
_MAX_COLUMNS = 512
_HEADERS = ("content-type", "part", "revision")
_REQUIRED = ("start_us", "end_us", "cx", "cy", "cz", "count")
_NARROW = {"cx": "<i4", "cy": "<i4", "cz": "<i4", "score": "<f4", "error": "<f4"}


def rows_per_record(columns: Columns, *, as_json: bool) -> int:
    """Return how many rows of these columns make a record of about 4 MiB."""
    width = sum(_JSON_BYTES if as_json or v.dtype == object else v.itemsize for v in columns.values())
    return max(_VALUE_BYTES // width, 1)


def encode_cells(window: str, shard: int, columns: Columns, *, as_json: bool) -> bytes:
    """Return the value of R rows of one window and shard."""
    size = len(columns["start_us"])
    if as_json:
        same: Columns = {"window": np.full(size, window, object), "shard": np.full(size, shard, np.int64)}
        return encode_rows(same | columns, "json", per_record=max(size, 2))[0]  # of 1 it would make no array
    blocks = {name: [values.dtype.str, values.tobytes()] for name, values in columns.items()}
    value: bytes = msgpack.packb({"v": _VERSION, "n": size, "window": window, "shard": shard, "c": blocks})
    return value


def decode_cells(value: bytes, headers: Mapping[str, bytes]) -> Cells:
    """Return the rows of a record; their revision is the header's.

    Raises
    ------
    BadRecord
        `value` is not of that shape.
    """
    if missing := [name for name in _HEADERS if name not in headers]:
        raise BadRecord("malformed", f"headers missing: {', '.join(missing)}")
    fields = _read_json(value) if headers["content-type"] == JSON_TYPE.encode() else _read(value)
    columns, size = fields["c"], fields["n"]
    if missing := [name for name in _REQUIRED if name not in columns]:
        raise BadRecord("columns", f"required columns missing: {', '.join(missing)}")
    columns["window"] = np.zeros(size, np.int16)
    columns["revision"] = np.full(size, int(headers["revision"]), np.int32)
    if "degradation" in headers:
        columns["degradation"] = np.full(size, int(headers["degradation"]), np.int8)
    return Cells(fields["shard"], columns, [fields["window"]])


def _read(value: bytes) -> dict[str, Any]:
    reader, fields = MsgpackReader(value), dict[str, Any]()
    for _ in range(reader.count("map", most=5)):
        key = reader.text(most=MAX_TEXT_BYTES)
        if key == "c":
            fields[key] = read_blocks(reader, value, fields.get("n", 0), _codes)
        else:
            fields[key] = reader.text(most=MAX_TEXT_BYTES) if key == "window" else reader.integer()
    reader.finish()
    if fields.keys() != {"v", "n", "window", "shard", "c"} or fields["v"] != _VERSION:
        raise BadRecord("version", f"version {fields.get('v')} with {', '.join(fields)}, expected {_VERSION}")
    return fields


def read_blocks(
    reader: MsgpackReader, data: bytes, rows: int, codes: Callable[[str], tuple[str, ...]]
) -> Columns:
    """Return columns of `rows` values, given the types that each may have by its name.

    Raises
    ------
    BadRecord
        There are too many, or one has another type or size.
    """
    if rows > _MAX_ROWS:
        raise BadRecord("too_large", f"{rows} rows, at most {_MAX_ROWS}")
    columns = {}
    for _ in range(reader.count("map", most=_MAX_COLUMNS)):
        name = reader.text(most=MAX_TEXT_BYTES)
        if reader.count("array", most=2) != 2:
            raise BadRecord("malformed", f"column {name!r} is no array of dtype and bytes")
        code, size = reader.text(most=8), reader.count("bytes", most=MAX_RECORD_BYTES)
        start = reader.skip(size)
        if code not in codes(name) or size != rows * int(code[2:]):
            raise BadRecord("length", f"column {name!r} has {size} bytes of {code!r}, expected {rows} values")
        columns[name] = np.frombuffer(data, code, rows, start)
    return columns


def _codes(name: str) -> tuple[str, ...]:
    return (_NARROW[name],) if name in _NARROW else ("<i8", "<f8")


def _read_json(value: bytes) -> dict[str, Any]:
    rows: dict[str, list[Any]] = dict(decode_rows(value, "json"))
    windows, shards = rows.pop("window"), rows.pop("shard")
    columns = {name: _column(name, values) for name, values in rows.items()}
    return {"n": len(windows), "window": windows[0], "shard": shards[0], "c": columns}


def _column(name: str, values: list[Any]) -> NDArray[Any]:
    whole, fraction = _codes(name)[0], _codes(name)[-1]
    is_whole = all(type(value) is int for value in values)
    plain = [np.nan if value is None else value for value in values]
    return np.array(plain, whole if is_whole else fraction)
