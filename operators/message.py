"""What one batch tells one shard, and that as one run of bytes between processes.

Bytewax pickles what goes to another process; pickle takes apart a message of two arrays in 21 us, both ways, this in 7.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

from kernels.table import Table
from operators.pieces import Block, Pairs, Piece, Rows

__all__ = ["Message"]

_ALIGNED = 8  # numpy adds unaligned arrays ten times as slowly


class Message(NamedTuple):
    """What one batch tells one shard: its pieces, and how far the partition has come."""

    shard: int
    partition: int
    watermark_us: int
    idle: bool
    pieces: tuple[Piece, ...]

    def __reduce__(self) -> tuple[Callable[[bytes], "Message"], tuple[bytes]]:
        """Return what pickle writes."""
        return _unpack, (_pack(self),)


def _pack(message: Message) -> bytes:
    """Return header length, header, and the arrays one behind the other."""
    arrays: list[NDArray[Any]] = []
    pieces = [_described(piece, arrays) for piece in message.pieces]
    shapes = [(array.dtype.str, *array.shape) for array in arrays]
    header = msgpack.packb([message[:-1], pieces, shapes])
    parts = [len(header).to_bytes(_ALIGNED, "little"), header]
    for array in arrays:
        parts += [b"\0" * (-len(parts[-1]) % _ALIGNED), array.tobytes()]
    return b"".join(parts)


def _described(piece: Piece, arrays: list[NDArray[Any]]) -> list[Any]:
    """Return a piece without its arrays, and add those to `arrays`."""
    if piece.table is not None:
        arrays += piece.table
    for block in piece.blocks:
        arrays += block[2:]
    for rows in piece.rows:
        arrays += [rows.cell, *rows.values]
    if piece.pairs is not None:
        arrays += piece.pairs
    blocks = [block[:2] for block in piece.blocks]
    rows_of = [(rows.pane, len(rows.values)) for rows in piece.rows]
    return [piece.group, piece.first_pane, piece.table is not None, blocks, rows_of, piece.pairs is not None]


def _unpack(data: bytes) -> Message:
    """Return the message; its arrays are views of `data`, read-only."""
    size = int.from_bytes(data[:_ALIGNED], "little")
    head, pieces, shapes = msgpack.unpackb(data[_ALIGNED : _ALIGNED + size], use_list=False)
    shard, partition, watermark_us, idle = head
    at, arrays = _ALIGNED + size, []
    for dtype, *shape in shapes:
        at += -at % _ALIGNED
        array = np.ndarray(shape, dtype, data, at)
        at += array.nbytes
        arrays.append(array)
    left = iter(arrays)
    found = tuple(_piece(described, lambda: next(left)) for described in pieces)
    return Message(shard, partition, watermark_us, idle, found)


def _piece(described: tuple[Any, ...], take: Callable[[], Any]) -> Piece:
    group, first_pane, has_table, blocks, rows_of, has_pairs = described
    return Piece(
        group,
        first_pane,
        Table(take(), take(), take()) if has_table else None,
        tuple(Block(pane, first_rank, take(), take()) for pane, first_rank in blocks),
        tuple(Rows(pane, take(), tuple(take() for _ in range(count))) for pane, count in rows_of),
        Pairs(take(), take()) if has_pairs else None,
    )
