"""Joining and spreading tables of partials, against dictionaries."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.table import Table, count_of, distinct_pairs, join, spread

ROWS = st.lists(st.tuples(st.integers(-40, 40), st.integers(-9, 9), st.integers(-9, 9)), max_size=20)


def _table(rows: list[tuple[int, int, int]]) -> Table:
    key, ints, floats = zip(*rows, strict=True) if rows else ((), (), ())
    block = np.array([floats, floats], np.float32).reshape(2, len(rows))
    return Table(np.array(key, np.int64), np.array([ints], np.int64).reshape(1, len(rows)), block)


def _grouped(rows: list[tuple[int, int, int]]) -> dict[int, tuple[int, int, int]]:
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for key, number, value in rows:
        found[key].append((number, value))
    return {
        key: (sum(n for n, _ in own), min(v for _, v in own), max(v for _, v in own))
        for key, own in found.items()
    }


def _as_dict(table: Table) -> dict[int, tuple[int, int, int]]:
    assert (np.diff(table.key) > 0).all()
    return {
        int(k): (int(i), int(f[0]), int(f[1]))
        for k, i, f in zip(table.key, table.ints[0], table.floats.T, strict=True)
    }


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_join_groups_by_key(parts: list[list[tuple[int, int, int]]]) -> None:
    """Sums add, even float rows are minima, odd ones maxima, in the order of the keys."""
    assert _as_dict(join([_table(rows) for rows in parts])) == _grouped(
        [row for rows in parts for row in rows]
    )


@given(ROWS, st.integers(1, 5), st.integers(1, 5))
def test_spread_puts_each_pane_into_its_windows(
    rows: list[tuple[int, int, int]], panes: int, slide: int
) -> None:
    """A row of a pane is counted in every window that covers the pane, and in no other."""
    cells, slide = 7, min(panes, slide)
    expected = [
        (window * cells + key % cells, number, value)
        for key, number, value in rows
        for window in range(-100, 100)
        if window * slide <= key // cells < window * slide + panes
    ]
    found = spread(join([_table(rows)]), cells=cells, panes=panes, slide_panes=slide)
    assert _as_dict(found) == _grouped(expected)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30), st.sampled_from([1, 2**40]))
def test_distinct_pairs_are_a_set(pairs: list[tuple[int, int]], apart: int) -> None:
    """Pairs come out once, by key, and `count_of` counts them; whether keys lie close or far apart."""
    keys, members = zip(*pairs, strict=True) if pairs else ((), ())
    key, member = distinct_pairs(np.array(keys, np.int64) * apart, np.array(members, np.uint64))
    assert (np.diff(key) >= 0).all()
    assert sorted(zip((key // apart).tolist(), member.tolist(), strict=True)) == sorted(set(pairs))
    wanted = np.arange(5)
    assert count_of(key, wanted * apart).tolist() == [len({m for k, m in pairs if k == w}) for w in range(5)]


def test_colliding_hashes_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members whose hashes are the same still count once each."""
    monkeypatch.setattr("kernels.table.mix64", lambda values: np.zeros(len(values), np.uint64))
    key, member = distinct_pairs(np.array([7, 7, 7, 8]), np.array([1, 2, 1, 1], np.uint64))
    assert list(zip(key.tolist(), member.tolist(), strict=True)) == [(7, 1), (7, 2), (8, 1)]
