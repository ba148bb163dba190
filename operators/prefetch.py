"""Reading ahead in a thread of its own: pyarrow decompresses and kafka-python fetches while numpy runs."""

import threading
from collections.abc import Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

__all__ = ["prefetched"]

T = TypeVar("T")

_LOOK_S = 0.1  # how soon the thread notices that nobody wants more


class _End:
    """The last thing in the queue: the iterator's end, or what it raised."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetched(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """Yield `items`, up to `depth` of them read before they are asked for.

    What `items` raises is raised here, behind what came before it. The thread ends when this iterator is closed.

    Examples
    --------
    >>> list(prefetched(iter("abc")))
    ['a', 'b', 'c']
    """
    queue: Queue[T | _End] = Queue(depth)
    closed = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, queue, closed), name="prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        while thread.is_alive():  # so that the thread's file is closed when this is
            try:
                queue.get(timeout=_LOOK_S)
            except Empty:
                continue


def _fill(items: Iterator[T], queue: "Queue[T | _End]", closed: threading.Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            _put(queue, item, closed)
            if closed.is_set():
                return
    except BaseException as raised:
        error = raised
    _put(queue, _End(error), closed)


def _put(queue: "Queue[T | _End]", item: T | _End, closed: threading.Event) -> None:
    while not closed.is_set():
        try:
            queue.put(item, timeout=_LOOK_S)
        except Full:
            continue
        return
