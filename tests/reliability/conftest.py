"""What these tests share: a topic of events on a real broker."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stream import Stream

from service.declared_topics import Topic

_EVENTS = {"max.message.bytes": "8454144", "message.timestamp.type": "LogAppendTime"}


@pytest.fixture
def make_stream(kafka: str, topics: Callable[..., str], tmp_path: Path) -> Iterator[Callable[[], Stream]]:
    """A function that makes a topic of events of its own, with two partitions."""
    made: list[Stream] = []

    def make() -> Stream:
        folder = tmp_path / f"stream{len(made)}"
        folder.mkdir()
        made.append(Stream(kafka, topics(Topic("aura.events", 2, 1, _EVENTS)), folder))
        return made[-1]

    yield make
    for stream in made:
        stream.close()


@pytest.fixture
def stream(make_stream: Callable[[], Stream]) -> Stream:
    """A topic of events with two partitions."""
    return make_stream()
