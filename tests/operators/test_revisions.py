"""Revisions of results of ticks: from 0, one more each time, void where rows are gone, forgotten once final."""

import numpy as np

from operators.result import KINDS, Result
from operators.revisions import Revisions


def _result(about: str, rows: int) -> Result:
    kind = KINDS["agents"]
    return Result("agents", about, {name: np.zeros(rows, kind.dtype(name)) for name in kind.columns})


def _said(revisions: Revisions, tick: int, *results: Result) -> list[tuple[str, int, int]]:
    return [(each.id, each.revision, len(each)) for each in revisions.number(tick, results)]


def test_each_result_counts_for_itself() -> None:
    """No rows say nothing at first, and void what there was; a result that comes later begins at 0."""
    revisions = Revisions()
    assert _said(revisions, 7, _result("a", 2), _result("b", 0)) == [("a", 0, 2)]
    assert _said(revisions, 7, _result("a", 0), _result("b", 0)) == [("a", 1, 0)]
    assert _said(revisions, 7, _result("a", 1), _result("b", 3)) == [("a", 2, 1), ("b", 0, 3)]


def test_final_ticks_are_forgotten_and_the_others_kept() -> None:
    """State grows with the ticks that may be said again only; what is restored goes on."""
    revisions = Revisions()
    for tick in (7, 8):
        _said(revisions, tick, _result(f"{tick}", 1))
    revisions.forget(8)
    assert revisions.snapshot() == {8: {"agents/8": 0}}
    assert _said(Revisions(revisions.snapshot()), 8, _result("8", 0)) == [("8", 1, 0)]
