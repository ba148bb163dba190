"""Compressed batches of records, unpacked up to a limit: 80 KiB of gzip can hold 80 MiB."""

import gzip
import io
from collections.abc import Callable, Mapping

import lz4.frame
import zstandard

from kernels.errors import BadRecord

__all__ = ["MAX_UNPACKED_BYTES", "unpack_batch"]

MAX_UNPACKED_BYTES = 32 * 1024 * 1024
"""Of a batch: four times the largest record, which is also the largest batch that a broker takes, packed or not."""


def unpack_batch(codec: int, data: bytes, *, most: int = MAX_UNPACKED_BYTES) -> bytes:
    """Return `data` unpacked by the codec of that number in Kafka.

    Raises
    ------
    BadRecord
        `too_large`: there are more than `most` bytes in it; no more than that is unpacked. `malformed`: it is broken,
        or of another codec than gzip (1), lz4 (3) and zstd (4).

    >>> unpack_batch(1, gzip.compress(b"abc"))
    b'abc'
    """
    if codec not in _CODECS:
        raise BadRecord("malformed", f"codec {codec}, expected gzip, lz4 or zstd")
    try:
        unpacked = _CODECS[codec](data, most + 1)
    except (OSError, EOFError, RuntimeError, zstandard.ZstdError) as error:
        raise BadRecord("malformed", f"the batch cannot be unpacked: {error}") from None
    if len(unpacked) > most:
        raise BadRecord("too_large", f"a batch of {len(data)} bytes unpacks to more than {most}")
    return unpacked


def _gzip(data: bytes, most: int) -> bytes:
    return gzip.GzipFile(fileobj=io.BytesIO(data)).read(most)


def _lz4(data: bytes, most: int) -> bytes:
    unpacked: bytes = lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=most)
    return unpacked


def _zstd(data: bytes, most: int) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        return reader.read(most)


_CODECS: Mapping[int, Callable[[bytes, int], bytes]] = {1: _gzip, 3: _lz4, 4: _zstd}
