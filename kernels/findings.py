"""Violations that a watch has found among N rows, as columns."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Findings", "Found", "joined"]


class Findings(NamedTuple):
    """K violations among N rows, in order of row, then of rule.

    Parameters
    ----------
    quarantined
        (N,) whether the agent is in quarantine, with this row.
    row, rule
        (K,) int64, uint8.
    value, bound
        (K,) float64, see `kernels.watch`.
    column
        (K,) object, the column that the violation is about.
    entered
        (K,) whether the agent was not in quarantine before this row.
    before
        (K,) the agent's row before, with the fields of the state; `time_us` of -2**62 if there is none.
    """

    quarantined: NDArray[np.bool_]
    row: NDArray[np.int64]
    rule: NDArray[np.uint8]
    value: NDArray[np.float64]
    bound: NDArray[np.float64]
    column: NDArray[Any]
    entered: NDArray[np.bool_]
    before: NDArray[Any]


class Found(NamedTuple):
    """Violations of one rule, and the column that they are about."""

    rule: int
    column: str
    row: NDArray[np.int64]
    value: NDArray[np.float64]
    bound: NDArray[np.float64]


def joined(
    found: Sequence[Found],
    quarantined: NDArray[np.bool_],
    before_it: NDArray[np.bool_],
    before: NDArray[Any],
    start: int,
) -> Findings:
    """Return the violations of a chunk, whose first row is number `start`."""
    some = [each for each in found if len(each.row)]
    if not some:
        none = np.empty(0)
        return Findings(
            quarantined, none.astype(np.int64), none.astype(np.uint8), none, none, none.astype(object),
            none.astype(np.bool_), before[:0],
        )  # fmt: skip
    row = np.concatenate([each.row for each in some])
    rule = np.concatenate([np.full(len(each.row), each.rule, np.uint8) for each in some])
    column = np.concatenate([np.full(len(each.row), each.column, object) for each in some])
    order = np.lexsort((rule, row))  # stable: of one rule and row, the columns stay in their order
    row = row.take(order)
    value, bound = (np.concatenate([getattr(each, name) for each in some]) for name in ("value", "bound"))
    return Findings(
        quarantined, row + start, rule.take(order), value.take(order), bound.take(order), column.take(order),
        ~before_it.take(row), before.take(row),
    )  # fmt: skip
