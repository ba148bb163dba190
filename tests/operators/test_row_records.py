from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import BadRecord
from kernels.rows import decode_rows
from operators.row_records import gather_rows, single_rows

_row = st.dictionaries(
    st.sampled_from("abcd"), st.integers(-5, 5) | st.none() | st.text(max_size=3), min_size=1
)
_good = _row | st.lists(_row, max_size=4)
_values = st.lists(_good.map(msgpack.packb) | st.binary(max_size=20), max_size=6)


def one_by_one(values: list[bytes], wanted: str) -> tuple[list[dict[str, Any]], list[int]]:
    """The rows of each record, read by itself; and which records cannot be read."""
    rows, refused = [], []
    for number, value in enumerate(values):
        try:
            found = decode_rows(value, "msgpack")
        except BadRecord:
            refused.append(number)
            continue
        size = len(next(iter(found.values()), []))
        rows += [{key: found.get(key, [None] * size)[n] for key in wanted} for n in range(size)]
    return rows, refused


@given(values=_values)
def test_records_read_together_are_as_read_one_by_one(values: list[bytes]) -> None:
    """The same rows in the same order, each from the same record, and the same records refused."""
    expected, refused = one_by_one(values, "bad")
    gathered = gather_rows(values, "msgpack", ["b", "a", "d"])
    assert sorted(gathered.refused) == refused
    assert set(gathered.rows) <= {"a", "b", "d"}
    size = len(gathered.rows["b"])
    assert [{key: gathered.rows.get(key, [None] * size)[n] for key in "bad"} for n in range(size)] == expected
    number, row = gathered.places()
    for at in range(size):
        alone = decode_rows(single_rows(values[number[at]], "msgpack", [int(row[at])])[0], "msgpack")
        assert {key: alone.get(key, [None])[0] for key in "bad"} == expected[at]


def test_a_record_does_not_complete_the_one_before_it() -> None:
    """A map that ends within a number is refused, though the next record begins like the rest of it."""
    cut = msgpack.packb({"a": 1.5})[:-8]
    rest = b"\x81" + bytes(7) + msgpack.packb({"a": 2})
    gathered = gather_rows([cut, rest], "msgpack", ["a"])
    assert (sorted(gathered.refused), gathered.rows) == ([0, 1], {"a": []})


def test_keys_that_nobody_asked_for_take_no_memory() -> None:
    """Records with ever new keys do not make a table of all of them."""
    values = [msgpack.packb({f"k{n}": 1, "a": n}) for n in range(500)]
    assert gather_rows(values, "msgpack", ["a"]).rows == {"a": list(range(500))}
