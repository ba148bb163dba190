"""Snapshots as versioned plain data: arrays and primitives in msgpack, nothing that runs code when it is read.

Bytewax pickles what a step's `snapshot()` returns; every step here returns the `bytes` of `pack`, so that a recovery
store holds no object of ours, and state of another version is refused by name instead of being misread.
"""

from typing import Any

import msgpack
import numpy as np

from kernels.errors import LostError

__all__ = ["pack", "unpack"]

_ARRAY = 1


def pack(kind: str, version: int, state: dict[str, Any]) -> bytes:
    """Return `state` (nested dicts and lists of primitives and numpy arrays) as bytes."""
    packed: bytes = msgpack.packb([kind, version, state], default=_encode, strict_types=True)
    return packed


def unpack(kind: str, version: int, data: bytes) -> dict[str, Any]:
    """Return what `pack` was given.

    Raises
    ------
    LostError
        The state is of another step or version, or is damaged.
    """
    try:
        got_kind, got_version, state = msgpack.unpackb(data, ext_hook=_decode, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise LostError(f"the saved state of {kind} cannot be read ({error})", _START_AFRESH) from error
    if (got_kind, got_version) != (kind, version):
        raise LostError(
            f"the saved state is {got_kind} version {got_version}, expected {kind} version {version}",
            _START_AFRESH,
        )
    return dict(state)


_START_AFRESH = (
    "Run the AURA version that wrote it, or name an empty recovery directory and replay from the start"
)


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        # Contiguous and little-endian by construction of the columns; the shape travels for two-dimensional blocks.
        header = msgpack.packb([value.dtype.str, list(value.shape)])
        return msgpack.ExtType(_ARRAY, header + np.ascontiguousarray(value).tobytes())
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"state may hold arrays and primitives, not {type(value).__name__}")


def _decode(code: int, data: bytes) -> Any:
    if code != _ARRAY:
        raise ValueError(f"unknown extension {code}")
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    dtype, shape = unpacker.unpack()
    return np.frombuffer(data, np.dtype(dtype), offset=unpacker.tell()).reshape(shape).copy()
