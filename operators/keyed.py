"""A keyed step: a plain class that takes messages and can say its state, as Bytewax drives it.

The end of the input closes nothing: a bounded source ends with a watermark that does, and a drain must not.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.worker_thread import keep_thread_state

__all__ = ["Logic", "keyed"]

M = TypeVar("M")
R = TypeVar("R")
M_contra = TypeVar("M_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Logic(Protocol[M_contra, R_co]):
    """What one key of a step does; it is made from what `snapshot` returned, or from None at the start."""

    def on_messages(self, messages: Sequence[M_contra], /) -> Sequence[R_co]:
        """Take messages in; return what follows from them."""

    def snapshot(self) -> bytes:
        """Return the state after the messages so far."""


def keyed(name: str, stream: KeyedStream[M], make: Callable[[bytes | None], Logic[M, R]]) -> KeyedStream[R]:
    """Add the step `name` to a stream of messages by key; `make` builds the logic of each key."""
    return op.stateful_batch(name, stream, lambda state: _Step(make(state)))


class _Step(StatefulBatchLogic[M, R, bytes]):
    def __init__(self, logic: Logic[M, R]) -> None:
        keep_thread_state()  # here, as Bytewax makes this in the worker's thread
        self._logic = logic

    def on_batch(self, values: list[M]) -> tuple[Sequence[R], bool]:
        return self._logic.on_messages(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        return self._logic.snapshot()
