"""The state of a worker's thread."""

import threading

from operators.worker_thread import keep_thread_state


def test_more_than_once_does_no_harm() -> None:
    """A thread may ask as often as it likes, and still ends."""
    done: list[int] = []

    def work() -> None:
        for _ in range(3):
            keep_thread_state()
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert done == [1, 1]
