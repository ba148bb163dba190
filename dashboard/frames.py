"""Binary frames: a header that says what the columns are, and the columns as they lie in memory.

    u32 little-endian     length of the header, padded with spaces so that the columns begin at a multiple of 8
    UTF-8 JSON            kind, and columns: [{name, type, length, offset, scale}], with whatever else the kind has
    columns               little-endian, each padded to a multiple of 8 bytes

A quantised column holds whole numbers: value = offset + scale * number. The page reads it without copying.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.errors import BadRecord

__all__ = ["Quantised", "decode", "encode", "quantise"]

_ALIGN = 8


class Quantised(NamedTuple):
    """(N,) whole numbers and what they mean: offset + scale * number."""

    values: NDArray[Any]
    offset: float
    scale: float


def quantise(values: NDArray[Any], low: float, high: float, bits: int = 16) -> Quantised:
    """Return (N,) values in [low, high] as unsigned numbers of 8 or 16 bits; what is not finite becomes 0.

    >>> quantise(np.array([0.0, 5.0, 10.0]), 0.0, 10.0, bits=8).values.tolist()
    [0, 128, 255]
    """
    steps = 2**bits - 1
    scale = (high - low) / steps or 1.0
    with np.errstate(invalid="ignore"):
        numbers = np.rint(np.clip((values - low) / scale, 0, steps))
    return Quantised(np.nan_to_num(numbers).astype(f"u{bits // 8}"), low, scale)


def encode(kind: str, columns: Mapping[str, NDArray[Any] | Quantised], more: Mapping[str, Any]) -> bytes:
    """Return a frame.

    Parameters
    ----------
    kind
        What it is: agents, density, cells, field.
    columns
        By name, plain or quantised; one-dimensional.
    more
        Further fields of the header.
    """
    described, blocks = [], []
    for name, column in columns.items():
        values = column.values if isinstance(column, Quantised) else column
        entry: dict[str, Any] = {"name": name, "type": values.dtype.str[1:], "length": len(values)}
        if isinstance(column, Quantised):
            entry |= {"offset": column.offset, "scale": column.scale}
        described.append(entry)
        blocks.append(_padded(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()))
    header = json.dumps({"kind": kind, **more, "columns": described}, separators=(",", ":")).encode()
    header += b" " * (-(4 + len(header)) % _ALIGN)
    return b"".join([len(header).to_bytes(4, "little"), header, *blocks])


def decode(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the columns of a frame, quantised ones as the values that they stand for.

    Raises
    ------
    BadRecord
        It is cut short.

    Examples
    --------
    >>> header, columns = decode(encode("cells", {"cx": np.array([1, 2], "i4")}, {"window": "minute"}))
    >>> header["window"], columns["cx"].tolist()
    ('minute', [1, 2])
    """
    try:
        size = int.from_bytes(data[:4], "little")
        header: dict[str, Any] = json.loads(data[4 : 4 + size])
        at, columns = 4 + size, {}
        for entry in header["columns"]:
            values = np.frombuffer(data, f"<{entry['type']}", entry["length"], at)
            at += values.nbytes + -values.nbytes % _ALIGN
            scaled = "scale" in entry
            columns[entry["name"]] = entry["offset"] + entry["scale"] * values if scaled else values
    except (ValueError, KeyError, TypeError) as error:
        raise BadRecord("truncated", f"no frame of the dashboard: {error}") from None
    return header, columns


def _padded(block: bytes) -> bytes:
    return block + bytes(-len(block) % _ALIGN)
