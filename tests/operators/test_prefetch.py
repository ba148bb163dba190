"""Reading ahead."""

import threading
from collections.abc import Iterator

import pytest

from operators.prefetch import prefetched


def test_order_is_kept() -> None:
    """Everything comes once, in order."""
    assert list(prefetched(iter(range(100)), depth=3)) == list(range(100))


def test_what_was_raised_is_raised() -> None:
    """A failure comes behind what was read before it."""

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("torn")

    found = prefetched(broken())
    assert next(found) == 1
    with pytest.raises(ValueError, match="torn"):
        next(found)


def test_closing_ends_the_thread() -> None:
    """Who stops early leaves no thread behind, even one that waits for room."""
    before = threading.active_count()
    found = prefetched(iter(range(10**6)), depth=1)
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
