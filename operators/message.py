"""What batches tell one shard, and that as one run of bytes between processes.

Bytewax pickles what goes to another process; pickle takes apart a message of two arrays in 21 us, both ways, this in 7.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

from kernels.table import Table
from operators.pieces import Block, Pairs, Piece, Rows

__all__ = ["Mark", "Message"]

_ALIGNED = 8  # numpy adds unaligned arrays ten times as slowly
_pack_header = msgpack.Packer().pack  # msgpack.packb makes one every time: 1 us
_PADDING = tuple(bytes(-size % _ALIGNED) for size in range(_ALIGNED))
# By character, which costs a tenth of a type's text; the processes of a cluster run on machines of one kind.
_DTYPES = {char: np.dtype(char) for char in np.typecodes["AllInteger"] + np.typecodes["Float"]}


class Mark(NamedTuple):
    """How far a partition has come, and whether no window need wait for it."""

    partition: int
    watermark_us: int
    idle: bool


class Message(NamedTuple):
    """What batches tell one shard: their pieces, and how far the partitions have come that they are of."""

    shard: int
    marks: tuple[Mark, ...]
    pieces: tuple[Piece, ...]
    trace: str = ""  # the W3C traceparent of the span that it comes from, if it is traced

    def __reduce__(self) -> tuple[Callable[[bytes], "Message"], tuple[bytes]]:
        """Return what pickle writes."""
        return _unpack, (_pack(self),)


def _pack(message: Message) -> bytes:
    """Return header length, header, and the arrays one behind the other."""
    arrays: list[NDArray[Any]] = []
    pieces = [_described(piece, arrays) for piece in message.pieces]
    shapes = [(array.dtype.char, *array.shape) for array in arrays]
    header = _pack_header([message.shard, message.marks, message.trace, pieces, shapes])
    parts = [len(header).to_bytes(_ALIGNED, "little"), header]
    for array in arrays:
        parts += [_PADDING[len(parts[-1]) % _ALIGNED], array.tobytes()]
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
    end = _ALIGNED + int.from_bytes(data[:_ALIGNED], "little")
    shard, marks, trace, pieces, shapes = msgpack.unpackb(data[_ALIGNED:end], use_list=False)
    take = iter(_arrays(data, end, shapes)).__next__
    found = [_piece(described, take) for described in pieces]
    return Message(shard, tuple([Mark(*mark) for mark in marks]), tuple(found), trace)


def _arrays(data: bytes, at: int, shapes: Sequence[tuple[Any, ...]]) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = []
    for shape in shapes:
        at += -at % _ALIGNED
        found.append(np.ndarray(shape[1:], _DTYPES[shape[0]], data, at))
        at += found[-1].nbytes
    return found


def _piece(described: tuple[Any, ...], take: Callable[[], Any]) -> Piece:
    group, first_pane, has_table, blocks, rows_of, has_pairs = described
    return Piece(
        group,
        first_pane,
        Table(take(), take(), take()) if has_table else None,
        tuple([Block(pane, first_rank, take(), take()) for pane, first_rank in blocks]),
        tuple([Rows(pane, take(), tuple([take() for _ in range(count)])) for pane, count in rows_of]),
        Pairs(take(), take()) if has_pairs else None,
    )
