"""Something done again and again, in a thread of its own, while a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["repeated"]


@contextmanager
def repeated(every_s: float, act: Callable[[], object], *, at_once: bool = False) -> Iterator[None]:
    """Call `act` every so many seconds while the block runs, the first time `at_once` or after that time."""
    over = threading.Event()

    def repeat() -> None:
        if at_once:
            act()
        while not over.wait(every_s):
            act()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
