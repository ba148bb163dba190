"""Something done again and again, in a thread of its own, while a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["repeated"]


@contextmanager
def repeated(every_s: float, act: Callable[[], object]) -> Iterator[None]:
    """Call `act` every so many seconds while the block runs."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every_s):
            act()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
