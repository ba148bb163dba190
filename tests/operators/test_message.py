"""A message between processes."""

import pickle

import numpy as np

from kernels.table import Table
from operators.message import Mark, Message
from operators.pieces import Block, Pairs, Piece, Rows


def test_comes_back_aligned() -> None:
    """A message of every form comes back as it was, with arrays that numpy adds up fast."""
    key, block = np.array([3, 9]), np.arange(8).reshape(2, 4)[:, 1:3]
    one = Piece(
        0, -5, Table(key, block, np.ones((0, 2), np.float32)),
        (Block(-5, 7, block, np.array([[1, -np.inf]], np.float32)),),
        (Rows(-4, np.array([1, 2, 3], np.int32), (np.array([0.5, np.nan, 2], np.float32),)),),
        Pairs(key, np.array([1, 2**64 - 1], np.uint64)),
    )  # fmt: skip
    message = Message(3, (Mark(1, -(2**62), False), Mark(0, 2**62, True)), (one, Piece(1, 0)))
    back = pickle.loads(pickle.dumps(message))
    assert repr(back) == repr(message)
    piece = back.pieces[0]
    arrays = [*piece.table, piece.blocks[0].ints, piece.rows[0].cell, *piece.rows[0].values, *piece.pairs]
    assert all(array.flags.aligned for array in arrays)
