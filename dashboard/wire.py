"""Messages between a worker and the server: a length, and a msgpack map whose columns lie in it as bytes.

    hello     worker, pid, steps of the flow      once, by the worker, and then all that it knows
    news      what has changed since the last     by the worker, a few times a second
    query     id, query, max_bytes                by the server
    answer    id, table, took_ms                  by the worker

They go over a Unix socket that only its owner may open.
"""

import struct
from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kernels.errors import BadRecord

__all__ = [
    "HEADER",
    "MAX_BYTES",
    "pack",
    "pack_columns",
    "pack_table",
    "size_of",
    "unpack",
    "unpack_columns",
    "unpack_table",
]

HEADER = struct.Struct("<I")
MAX_BYTES = 256 * 2**20
"""A million agents are 50 MB."""


def pack(message: Mapping[str, Any]) -> bytes:
    """Return a message with its length before it."""
    data: bytes = msgpack.packb(message)
    return HEADER.pack(len(data)) + data


def size_of(header: bytes) -> int:
    """Return the length of the message that follows.

    Raises
    ------
    BadRecord
        It is larger than any that is sent.
    """
    (size,) = HEADER.unpack(header)
    if size > MAX_BYTES:
        raise BadRecord("too_large", f"a message of {size} bytes, at most {MAX_BYTES}")
    return int(size)


def unpack(data: bytes) -> dict[str, Any]:
    """Return a message without its length.

    Raises
    ------
    BadRecord
        It is none.
    """
    try:
        message = msgpack.unpackb(data, strict_map_key=False, max_bin_len=MAX_BYTES)
    except (ValueError, msgpack.UnpackException) as error:
        raise BadRecord("malformed", f"no message of a worker: {error}") from None
    if not isinstance(message, dict):
        raise BadRecord("malformed", "no message of a worker: not a map")
    return message


def pack_columns(columns: Mapping[str, NDArray[Any]]) -> dict[str, tuple[str, bytes]]:
    """Return (N,) columns as a message can have them."""
    return {name: (values.dtype.str, values.tobytes()) for name, values in columns.items()}


def unpack_columns(packed: Mapping[str, tuple[str, bytes]]) -> dict[str, NDArray[Any]]:
    """Return the columns, read-only."""
    return {name: np.frombuffer(data, dtype) for name, (dtype, data) in packed.items()}


def pack_table(table: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def unpack_table(data: bytes) -> pa.Table:
    """Return the table of an Arrow stream.

    Raises
    ------
    BadRecord
        It is none.
    """
    try:
        return pa.ipc.open_stream(data).read_all()
    except pa.ArrowInvalid as error:
        raise BadRecord("malformed", f"no Arrow stream: {error}") from None
