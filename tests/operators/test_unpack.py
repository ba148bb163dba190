import gzip
import tracemalloc
from contextlib import suppress

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import BadRecord
from operators.unpack import unpack_batch

CODECS = {1: gzip.compress, 3: lz4.frame.compress, 4: zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=500))
def test_what_was_packed_comes_back(codec: int, data: bytes) -> None:
    """Every codec of Kafka that we have gives back what its packer was given, in one stream or in two."""
    assert unpack_batch(codec, CODECS[codec](data)) == data
    if codec != 3:
        assert unpack_batch(codec, CODECS[codec](data) + CODECS[codec](b"more")) == data + b"more"


@pytest.mark.parametrize("codec", CODECS)
def test_a_bomb_is_refused_before_memory_grows(codec: int) -> None:
    """64 MiB of zeros in a few KiB are refused at the limit of 1 MiB, and little more than that is ever held."""
    bomb = CODECS[codec](bytes(64 * 2**20))
    tracemalloc.start()
    with pytest.raises(BadRecord) as caught:
        unpack_batch(codec, bomb, most=2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.reason == "too_large"
    assert peak < 8 * 2**20


@given(codec=st.integers(0, 7), data=st.binary(max_size=200))
def test_broken_batches_are_refused(codec: int, data: bytes) -> None:
    """Whatever the bytes, they unpack or are refused; no other error comes out."""
    with suppress(BadRecord):
        unpack_batch(codec, data)
