"""Frames: thousands of events as one Kafka value, msgpack, with one block of little-endian bytes per column.

    {"v": 1, "n": N, "c": {name: [dtype, bytes], ...}, "names": {agent_id: text, ...}}

`n` is 0 to 65,536. A dtype is the numpy text of the type that `kernels.schema` gives the column: "<u8",
"<i8", "<u4", "<f4" or "|u1", and no other; its block has n x itemsize bytes. `names` is optional: the texts that ids
were hashed from, each worth sending once. Any msgpack library reads a frame. What is none is refused:

    reason      the record
    too_large   is over 8 MiB, or announces more events, columns, names or text than allowed
    truncated   ends before what it announces
    malformed   is not msgpack of that shape: other types or keys, a key twice, bad UTF-8, bytes after the end
    version     has a `v` that is not known here
    columns     lacks a required column, or names one as no column can be named
    dtype       has a column of another type than the schema's
    length      has a block of other than n x itemsize bytes

Columns are views of the record: 65,536 events in 8 columns take 30 us, where msgpack.unpackb takes 166 us just
to copy the blocks. They are also aligned, since numpy multiplies an unaligned float32 column 12 times slower:
the encoder puts each block on a multiple of 8 bytes by writing headers in longer forms than they need, which
msgpack allows, and only a block that another producer put elsewhere is copied.
"""

from collections.abc import Callable, Mapping
from struct import pack
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

from kernels.errors import BadRecord
from kernels.msgpack_reader import MsgpackReader
from kernels.schema import (
    MAX_COLUMNS,
    MAX_RECORD_BYTES,
    MAX_RECORD_EVENTS,
    MAX_TEXT_BYTES,
    Columns,
    check_names,
    column_dtype,
)

__all__ = ["FRAME_TYPE", "Frame", "decode_frame", "encode_frame"]

FRAME_TYPE = "application/vnd.aura.frame"
"""Content type of a frame."""

_VERSION = 1


class Frame(NamedTuple):
    """What a frame carries: the columns, and the text of each id that the producer named."""

    columns: Columns
    names: dict[int, str]


class _Block(NamedTuple):
    """Where the bytes of a column are."""

    dtype: str
    start: int
    size: int


def decode_frame(data: bytes | memoryview) -> Frame:
    """Return the columns of a frame: read-only, aligned, and views of `data` where its blocks are aligned.

    Values are not looked at: a NaN position or a level of 9 is the business of a later stage.

    Raises
    ------
    BadRecord
        `data` is no frame, for one of the reasons of the table above.

    >>> columns = {"agent_id": np.array([7], "<u8"), "time_us": np.array([0], "<i8")}
    >>> columns |= {axis: np.array([1.5], "<f4") for axis in ("x_m", "y_m", "z_m")}
    >>> decode_frame(encode_frame(columns)).columns["x_m"].tolist()
    [1.5]
    """
    data = data if isinstance(data, bytes) else memoryview(data).cast("B").toreadonly()
    _check_at_most(MAX_RECORD_BYTES, len(data), "bytes")
    fields = _read_fields(MsgpackReader(data))
    check_names(fields["c"])
    columns = {name: _column(data, name, fields["n"], block) for name, block in fields["c"].items()}
    return Frame(columns, fields.get("names", {}))


def encode_frame(columns: Columns, *, names: Mapping[int, str] | None = None) -> bytes:
    """Return `columns`, N values each of the schema's types, and the texts of some of their ids as a frame.

    Raises
    ------
    BadRecord
        `decode_frame` would refuse the frame; the reasons are the same.
    """
    check_names(columns)
    n = columns["agent_id"].size
    parts: list[bytes | memoryview] = [_header(n, len(columns), names or {})]
    at = len(parts[0])
    for name, values in columns.items():
        _check_block(name, n, values.dtype.str, values.nbytes)
        parts.append(_block_header(name, values.dtype.str, values.nbytes, at))
        at += len(parts[-1]) + values.nbytes
        parts.append(np.ascontiguousarray(values).data)
    _check_at_most(MAX_RECORD_BYTES, at, "bytes")
    return b"".join(parts)


def _read_fields(reader: MsgpackReader) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for _ in range(reader.count("map", most=MAX_COLUMNS)):  # five rounds at most: keys are known and differ
        key = reader.text(most=MAX_TEXT_BYTES)
        if key not in _FIELDS:
            raise BadRecord("malformed", f"key {key!r}, expected one of {', '.join(_FIELDS)}")
        _put(fields, key, _FIELDS[key](reader))
    reader.finish()
    if not fields.keys() >= {"v", "n", "c"}:
        raise BadRecord("malformed", f"keys are {', '.join(fields) or 'none'}, expected at least v, n and c")
    return fields


def _read_version(reader: MsgpackReader) -> int:
    version = reader.integer()
    if version != _VERSION:
        raise BadRecord("version", f"version {version}, expected {_VERSION}")
    return version


def _read_events(reader: MsgpackReader) -> int:
    return _check_at_most(MAX_RECORD_EVENTS, reader.integer(), "events")


def _read_blocks(reader: MsgpackReader) -> dict[str, _Block]:
    blocks: dict[str, _Block] = {}
    for _ in range(reader.count("map", most=MAX_COLUMNS)):
        name = reader.text(most=MAX_TEXT_BYTES)
        if reader.count("array", most=2) != 2:
            raise BadRecord("malformed", f"column {name!r} is no array of dtype and bytes")
        dtype = reader.text(most=MAX_TEXT_BYTES)
        size = reader.count("bytes", most=MAX_RECORD_BYTES)
        _put(blocks, name, _Block(dtype, reader.skip(size), size))
    return blocks


def _read_names(reader: MsgpackReader) -> dict[int, str]:
    names: dict[int, str] = {}
    for _ in range(reader.count("map", most=MAX_RECORD_EVENTS)):
        _put(names, reader.integer(), reader.text(most=MAX_TEXT_BYTES))
    return names


_FIELDS: Mapping[str, Callable[[MsgpackReader], Any]] = {
    "v": _read_version,
    "n": _read_events,
    "c": _read_blocks,
    "names": _read_names,
}


def _put(target: dict[Any, Any], key: object, value: object) -> None:
    if key in target:
        raise BadRecord("malformed", f"key {key!r} is there twice")
    target[key] = value


def _column(data: bytes | memoryview, name: str, n: int, block: _Block) -> NDArray[Any]:
    _check_block(name, n, block.dtype, block.size)
    values = np.frombuffer(data, column_dtype(name), n, block.start)
    if not values.flags.aligned:
        values = values.copy()
        values.flags.writeable = False
    return values


def _header(n: int, columns: int, names: Mapping[int, str]) -> bytes:
    """Return everything up to the first column."""
    _check_at_most(MAX_RECORD_EVENTS, n, "events")
    _check_at_most(MAX_RECORD_EVENTS, len(names), "names")
    longest = max((len(text.encode()) for text in names.values()), default=0)
    _check_at_most(MAX_TEXT_BYTES, longest, "bytes of text")
    fields = {"v": _VERSION, "n": n} | ({"names": dict(names)} if names else {}) | {"c": {}}
    without_columns: bytes = msgpack.packb(fields)
    return without_columns[:-1] + pack(">BH", 0xDE, columns)


def _block_header(name: str, dtype: str, size: int, at: int) -> bytes:
    """Return the tokens before a block, from byte `at` on, in forms that put the block on a multiple of 8."""
    forms = (bytes([0xA0 | len(name) & 31]), pack("BB", 0xD9, len(name)), pack(">BH", 0xDA, len(name)))
    shortest = 0 if len(name) < 32 else 1
    pad = -(at + shortest + len(name) + len(dtype) + 8) % 8
    parts = (
        forms[shortest + pad % 2],
        name.encode(),
        (b"\x92", b"\xdc\0\2", b"\xdd\0\0\0\2")[min(pad // 2, 2)],
        bytes([0xA0 | len(dtype)]) if pad < 6 else pack(">BH", 0xDA, len(dtype)),
        dtype.encode(),
        pack(">BI", 0xC6, size),
    )
    return b"".join(parts)


def _check_block(name: str, n: int, dtype: str, size: int) -> None:
    expected = column_dtype(name)
    if dtype != expected.str:
        raise BadRecord("dtype", f"column {name} is {dtype!r}, expected {expected.str!r}")
    if size != n * expected.itemsize:
        raise BadRecord("length", f"column {name} has {size} bytes, expected {n} x {expected.itemsize}")


def _check_at_most(most: int, count: int, what: str) -> int:
    if count > most:
        raise BadRecord("too_large", f"{count} {what}, at most {most}")
    return count
