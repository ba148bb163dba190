import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import ConfigError
from kernels.hashing import hash_text, mix64, partition_of

U64 = st.integers(0, 2**64 - 1)
GOLDEN = 0x9E3779B97F4A7C15


def slow_mix64(value: int) -> int:
    """The rule of the module's table, on Python integers."""
    value ^= value >> 30
    value = value * 0xBF58476D1CE4E5B9 % 2**64
    value ^= value >> 27
    value = value * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "e4a6a0577479b2b4"),  # b2sum -l 64 of GNU coreutils
        ("4b1814", "aecb15d4c25c8a93"),
        ("Zürich", "707438faa779d508"),
    ],
)
def test_hash_text_is_the_digest_that_b2sum_prints(text: str, digest: str) -> None:
    """The id of a text is the 8-byte BLAKE2b digest that another implementation gives, read little-endian."""
    assert hash_text(text) == int.from_bytes(bytes.fromhex(digest), "little")


def test_mix64_gives_the_published_splitmix64_sequence() -> None:
    """Mixing seed + k x golden gamma gives the outputs that splitmix64 publishes for the seed 1234567."""
    states = np.array([(1234567 + k * GOLDEN) % 2**64 for k in range(1, 6)], dtype=np.uint64)
    assert mix64(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(st.lists(U64))
def test_mix64_is_the_documented_rule(values: list[int]) -> None:
    """Every value comes out as the rule gives it on Python integers, and the input is left as it was."""
    given_values = np.array(values, dtype=np.uint64)
    assert mix64(given_values).tolist() == [slow_mix64(value) for value in values]
    assert given_values.tolist() == values


def test_mix64_does_not_depend_on_the_number_of_values() -> None:
    """A value that lies in any of the chunks of a long array is mixed as it is alone."""
    values = np.arange(40_000, dtype=np.uint64)
    mixed = mix64(values)
    for k in (0, 16_383, 16_384, 32_768, 39_999):
        assert mixed[k] == slow_mix64(k)


@given(st.lists(U64, min_size=1), st.integers(1, 2**31 - 1))
def test_partition_is_the_mixed_id_modulo_the_partitions(agents: list[int], partitions: int) -> None:
    """The partition of an agent is mix64(agent) mod P, as int32."""
    found = partition_of(np.array(agents, dtype=np.uint64), partitions)
    assert found.dtype == np.int32
    assert found.tolist() == [slow_mix64(agent) % partitions for agent in agents]


def test_neighbouring_ids_spread_evenly() -> None:
    """Of a million ids in a row, each of 12 partitions gets its twelfth within one percent."""
    shares = np.bincount(partition_of(np.arange(1_000_000, dtype=np.uint64), 12), minlength=12) / 1_000_000
    assert np.abs(shares * 12 - 1).max() < 0.01


@pytest.mark.parametrize("partitions", [-1, 0, 2**31])
def test_an_impossible_number_of_partitions_is_refused(partitions: int) -> None:
    """No partition at all, or more than Kafka can count, is an error that names the number."""
    with pytest.raises(ConfigError, match=str(partitions)):
        partition_of(np.zeros(1, dtype=np.uint64), partitions)
