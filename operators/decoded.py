"""Rows of a partition between records and batches: cut where a record has too many, joined where it has few."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.schema import Columns
from operators.batch import DeadLetter, Origin, length

__all__ = ["Decoded", "cut", "join"]


class Decoded(NamedTuple):
    """N rows in their order, and what has not become a row.

    Attributes
    ----------
    columns
        (N,) each, the same ones in every piece of a partition.
    origin
        Where they stood.
    broker_us
        (N,) int64 broker's time of each row's record.
    names
        Text of hashed ids.
    dead
        Records and rows that are no events.
    """

    columns: Columns
    origin: Origin
    broker_us: NDArray[np.int64]
    names: dict[int, str]
    dead: list[DeadLetter]


def cut(piece: Decoded, first: int, end: int) -> Decoded:
    """Return rows `first` to `end`, as views; the dead letters go with the first rows."""
    columns = {name: values[first:end] for name, values in piece.columns.items()}
    origin = piece.origin
    runs = slice(
        int(np.searchsorted(origin.starts, first, "right")) - 1, int(np.searchsorted(origin.starts, end))
    )
    skipped = np.maximum(first - origin.starts[runs], 0)
    starts = origin.starts[runs] + skipped - first
    place = Origin(origin.topic, origin.partition, starts, origin.offsets[runs], origin.rows[runs] + skipped)
    return Decoded(columns, place, piece.broker_us[first:end], piece.names, [] if first else piece.dead)


def join(pieces: Sequence[Decoded]) -> Decoded:
    """Return pieces as one, in their order; nothing is copied where only one has rows."""
    dead = [letter for piece in pieces for letter in piece.dead]
    full = [piece for piece in pieces if length(piece.columns)] or [pieces[0]]
    if len(full) == 1:
        return full[0]._replace(dead=dead)
    columns = {name: np.concatenate([piece.columns[name] for piece in full]) for name in full[0].columns}
    before = np.cumsum([0, *(length(piece.columns) for piece in full)])
    origins = [piece.origin for piece in full]
    place = Origin(
        origins[0].topic,
        origins[0].partition,
        np.concatenate([origin.starts + rows for origin, rows in zip(origins, before, strict=False)]),
        np.concatenate([origin.offsets for origin in origins]),
        np.concatenate([origin.rows for origin in origins]),
    )
    broker_us = np.concatenate([piece.broker_us for piece in full])
    names = {key: text for piece in full for key, text in piece.names.items()}
    return Decoded(columns, place, broker_us, names, dead)
