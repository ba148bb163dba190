import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.siphash import siphash

MASK = 2**64 - 1


def slow(value: int, key: bytes) -> int:
    """SipHash-2-4 of one number, as its authors write it."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [0x736F6D6570736575 ^ k0, 0x646F72616E646F6D ^ k1, 0x6C7967656E657261 ^ k0, 0x7465646279746573 ^ k1]

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = ((v[1] << 13 | v[1] >> 51) & MASK) ^ v[0]
            v[0] = (v[0] << 32 | v[0] >> 32) & MASK
            v[2] = (v[2] + v[3]) & MASK
            v[3] = ((v[3] << 16 | v[3] >> 48) & MASK) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = ((v[3] << 21 | v[3] >> 43) & MASK) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = ((v[1] << 17 | v[1] >> 47) & MASK) ^ v[2]
            v[2] = (v[2] << 32 | v[2] >> 32) & MASK

    for word in (value, 8 << 56):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


@given(st.lists(st.integers(0, MASK), max_size=20), st.binary(min_size=16, max_size=16))
def test_many_at_once_are_each_alone(values: list[int], key: bytes) -> None:
    """The same as one number after the other in plain integers, for any key."""
    found = siphash(np.array(values, np.uint64), key)
    assert found.tolist() == [slow(value, key) for value in values]
