"""SIGTERM and SIGINT as a wish to stop, which also wakes who waits in `select`."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["stop_signals"]


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[int]:
    """Let the signals call `stop` while the block runs; yield a descriptor that is readable after one."""

    def asked(number: int, frame: object) -> None:  # noqa: ARG001 (signal names them)
        stop()

    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    woken = signal.set_wakeup_fd(wake)
    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield wakeup
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        os.close(wakeup)
        os.close(wake)
