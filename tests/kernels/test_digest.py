import hashlib
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.digest import combine_digests, digest, session_digest, window_digests

Table = dict[str, NDArray[Any]]
WINDOWS, MODELS = ["zeta", "naïve"], ["one", "two"]
FLOATS = ["v_sum", "v_mean", "v_min", "v_max", "v_var"]
EXACT = ["window", "start_us", "end_us", "cx", "cy", "cz", "count", "agents", "v_count", *FLOATS]


def table_of(rows: int) -> Table:
    """Results of several windows, a row a cell."""
    rng = np.random.default_rng(rows)
    place = np.arange(rows)
    return {
        "window": (place % 2).astype("i2"),
        "start_us": place // 2 % 3 * 60_000_000 - 60_000_000,
        "end_us": place // 2 % 3 * 60_000_000,
        "cx": (place // 6).astype("i4"),
        "cy": (7 - place // 6).astype("i4"),
        "cz": np.zeros(rows, "i4"),
        "count": rng.integers(1, 9, rows),
        "agents": rng.integers(-1, 5, rows),
        "v_count": rng.integers(0, 2, rows),
        **{name: rng.random(rows) for name in FLOATS},
    }


def scored(table: Table) -> Table:
    """The same with the columns of a model."""
    rows = len(table["count"])
    return table | {"score": np.linspace(0, 1, rows, dtype="f4"), "model": np.arange(rows, dtype="i4") % 2}


def at(table: Table, rows: Any) -> Table:
    """Some rows of a table."""
    return {name: values[rows] for name, values in table.items()}


def test_the_bytes_are_those_of_the_docstring() -> None:
    """The digest of two rows equals one put together by hand from the documented layout."""
    table = at(table_of(2), [0, 0]) | {"cx": np.array([5, -5], "i4")}
    header = b"aura-digest-1\nend_us,cx,cy,cz,count,agents,v_count," + ",".join(FLOATS).encode() + b"\n"
    rows = [[table[name][k].item() for name in EXACT[2:]] for k in (1, 0)]
    window = hashlib.sha256(header + b"".join(struct.pack("<q3i3q5d", *row) for row in rows)).digest()
    expected = hashlib.sha256(struct.pack("<I", 4) + b"zeta" + struct.pack("<q", -60_000_000) + window)
    assert digest(table, WINDOWS) == expected.hexdigest()


@given(st.integers(0, 40), st.randoms())
def test_the_order_of_rows_does_not_matter(rows: int, random: Any) -> None:
    """Shuffled rows have the same digest, with and without scores."""
    shuffled = sorted(range(rows), key=lambda _: random.random())
    for table, models in ((table_of(rows), None), (scored(table_of(rows)), MODELS)):
        assert digest(at(table, shuffled), WINDOWS, models) == digest(table, WINDOWS, models)


def test_digests_of_processes_add_up() -> None:
    """The windows hashed by two processes, put together, give the digest of all."""
    table = table_of(30)
    here = table["start_us"] == 0
    parts = [window_digests(at(table, rows), WINDOWS) for rows in (here, ~here)]
    assert combine_digests(parts[0] | parts[1]) == digest(table, WINDOWS)


@pytest.mark.parametrize("name", EXACT)
def test_every_column_counts(name: str) -> None:
    """Another value anywhere is another digest."""
    table = table_of(30)
    changed = table[name].copy()
    changed[11] += 1 if name == "window" else 1000
    assert digest(table | {name: changed}, [*WINDOWS, "third"]) != digest(table, WINDOWS)


@pytest.mark.parametrize("name", ["score", "model"])
def test_scores_and_models_count(name: str) -> None:
    """Another score or model of one row is another scored digest."""
    table = scored(table_of(30))
    changed = table[name].copy()
    changed[11] = 1 - changed[11]
    assert digest(table | {name: changed}, WINDOWS, MODELS) != digest(table, WINDOWS, MODELS)


def test_names_count_and_not_their_numbers() -> None:
    """Windows and models listed in another order are the same windows and models."""
    table = scored(table_of(30))
    swapped = table | {"window": 1 - table["window"], "model": 1 - table["model"]}
    assert digest(swapped, WINDOWS[::-1], MODELS[::-1]) == digest(table, WINDOWS, MODELS)


def test_equal_values_with_other_bits_are_equal() -> None:
    """A zero with a sign is zero, and every NaN is the same."""
    table = table_of(12) | {"v_min": np.zeros(12), "v_max": np.full(12, np.nan)}
    other = {"v_min": -table["v_min"], "v_max": np.full(12, 0x7FF8234512345123, "u8").view("f8")}
    assert digest(table | other, WINDOWS) == digest(table, WINDOWS)


def test_a_cell_that_is_there_twice_is_refused() -> None:
    """Two rows for one (window, start, cell) are an error: the digest would depend on their order."""
    with pytest.raises(ValueError, match="last revisions only"):
        digest(at(table_of(4), [0, 1, 0]), WINDOWS)


@pytest.mark.parametrize("block", [1, 7, 33])
def test_blocks_do_not_change_the_digest(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Rows that are laid out a few at a time have the digest of all at once."""
    table = table_of(100)
    expected = digest(table, WINDOWS)
    monkeypatch.setattr("kernels.digest._BLOCK", block)
    assert digest(table, WINDOWS) == expected


def sessions_of(rows: int) -> Table:
    """Sessions of two windows and a few agents."""
    rng = np.random.default_rng(rows)
    place = np.arange(rows)
    return {
        "window": (place % 2).astype("i2"),
        "start_us": place * 10,
        "end_us": place * 10 + 5,
        "agent_id": place.astype("u8") % 7 + np.uint64(2**63),
        "count": rng.integers(1, 9, rows),
        "v_mean": np.where(place % 3, rng.random(rows), np.nan),
    }


def test_the_digest_of_sessions_is_of_their_rows() -> None:
    """The order of the rows does not count, nor that of the windows' names; every value of every row does."""
    table = sessions_of(40)
    expected = session_digest(table, WINDOWS)
    mixed = {name: values[np.random.default_rng(1).permutation(40)] for name, values in table.items()}
    assert session_digest(mixed, WINDOWS) == expected
    assert session_digest(table | {"window": 1 - table["window"]}, WINDOWS[::-1]) == expected
    for name, values in table.items():
        other = values.copy()
        other[5] = 0 if name in {"window", "v_mean"} else other[5] + 1
        assert session_digest(table | {name: other}, WINDOWS) != expected, name


def test_no_sessions_have_a_digest() -> None:
    """A run without sessions has the digest of nothing."""
    assert session_digest(sessions_of(0), WINDOWS) == hashlib.sha256().hexdigest()
