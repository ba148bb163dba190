"""Reliability 4: a small record batch that unpacks to hundreds of MiB."""

from collections.abc import Callable

import pytest
from stream import Stream, events

from kernels.frame import encode_frame

BOMB_MIB = 256
GROWTH_MIB = 128
"""More than the 32 MiB that a batch may unpack to, with copies, and half of a bomb."""


@pytest.mark.parametrize("codec", ["gzip", "zstd", "lz4"])
def test_memory_is_bounded(codec: str, make_stream: Callable[[], Stream]) -> None:
    """A bomb in each partition is a dead letter; the packed events around it count; memory stays what it was."""
    dirty, clean = make_stream(), make_stream()
    bombs = set()
    for partition in range(2):
        for stream in (dirty, clean):
            stream.send(partition, encode_frame(events([1, 2], 10 * partition)), packed=codec)
        bombs.add((partition, dirty.send(partition, bytes(BOMB_MIB * 2**20), packed=codec), -1))
        for stream in (dirty, clean):
            stream.send(partition, encode_frame(events([3, 14], 5 + 10 * partition)), packed=codec)
    (found, mib), (expected, least_mib) = dirty.run_measured(), clean.run_measured()
    assert found.letters() == dict.fromkeys(bombs, "too_large")
    assert all(len(letter["value"]) < 2 * 2**20 for letter in found.dead)
    assert found.summary["windowed"] == 8
    assert found.summary["digest"] == expected.summary["digest"]
    assert mib - least_mib < GROWTH_MIB
