"""The hierarchy's pyramid: what regions counted in a step of time, coarsened by 2 x 2 x 2 in space and by a ratio in time.

Level 0 is the cells, and a region of level k is the cells that share a prefix of their Morton code: `code >> 3 k`. Of a
region only the steps count in which something happened there:

    conserved   events, and per metric values and their sum in steps of its resolution: those of a region's step are the
                sums of its children's, as integers
    mean        of level 0 that of the values in the step; above, that of the states of the children that were touched, each
                once, as it was after the last of its steps
    state       the mean of the first step; from then on moved toward the mean by the coupling, once a step

States and means are fixed-point integers, 2**-10 of a metric's resolution, and the coupling a fraction of 2**20: so the
order of events, framing and division cannot change a bit. Divisions round down.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COUPLING",
    "NONE",
    "POINT",
    "States",
    "Steps",
    "coarsen",
    "distinct",
    "ground",
    "join_steps",
    "relax",
]

Ints = NDArray[np.int64]

POINT = 1 << 10
"""Parts of a metric's resolution in which means and states are counted."""
COUPLING = 1 << 20
"""Parts of 1 in which the coupling is counted."""
NONE = np.int64(-(2**62))
"""In place of a mean or a state where there is no value."""


class Steps(NamedTuple):
    """K steps of regions of one level, by (code, step).

    Attributes
    ----------
    code, step
        (K,) int64 Morton prefix and number of the step.
    events
        (K,) int64.
    n, total
        (M, K) int64 values of each metric, and their sum.
    mean, state
        (M, K) int64 fixed-point, NONE without a value; `state` is that after the step.
    """

    code: Ints
    step: Ints
    events: Ints
    n: Ints
    total: Ints
    mean: Ints
    state: Ints

    @classmethod
    def none(cls, metrics: int) -> "Steps":
        """Return no steps."""
        one, several = np.empty(0, np.int64), np.empty((metrics, 0), np.int64)
        return cls(one, one, one, several, several, several, several)

    def at(self, rows: NDArray[Any]) -> "Steps":
        """Return some of them."""
        return Steps._make(column[..., rows] for column in self)


class States(NamedTuple):
    """What regions of one level are in: (K,) rising codes, and (M, K) fixed-point values."""

    code: Ints
    value: Ints

    @classmethod
    def empty(cls, metrics: int) -> "States":
        """Return the states of no region."""
        return cls(np.empty(0, np.int64), np.empty((metrics, 0), np.int64))


def ground(
    code: Ints, step: Ints, quantised: Ints, valid: NDArray[np.bool_]
) -> tuple[Steps, NDArray[np.intp]]:
    """Return the steps of level 0 that N events, at least one, make, and the step of each event.

    Parameters
    ----------
    code, step
        (N,) cell and number of the step of each event.
    quantised, valid
        (M, N) values in steps of their resolution, and which there are.

    Examples
    --------
    >>> one = np.ones((1, 3), np.bool_)
    >>> steps, of = ground(np.array([5, 4, 5]), np.array([0, 0, 0]), np.array([[1, 7, 2]]), one)
    >>> steps.code.tolist(), steps.total.tolist(), steps.mean.tolist(), of.tolist()
    ([4, 5], [[7, 3]], [[7168, 1536]], [1, 0, 1])
    """
    order = np.lexsort((step, code))
    heads = _heads(code[order], step[order])
    of = np.empty(len(code), np.intp)
    of[order] = np.repeat(np.arange(len(heads)), np.diff(np.append(heads, len(code))))
    n, total = (np.zeros((len(valid), len(heads)), np.int64) for _ in range(2))
    for count, into, values, each in zip(n, total, quantised, valid, strict=True):
        np.add.at(count, of, each.astype(np.int64))
        np.add.at(into, of, np.where(each, values, 0))
    mean = np.where(n > 0, total * POINT // np.maximum(n, 1), NONE)
    first, events = order[heads], np.bincount(of, minlength=len(heads))
    return Steps(code[first], step[first], events, n, total, mean, mean), of


def coarsen(children: Steps, ratio: int) -> Steps:
    """Return the steps of the level above, `ratio` times as long, from those of its children, at least one.

    Their `state` is still the mean: `relax` moves it.
    """
    code, step = children.code >> 3, children.step // ratio
    order = np.lexsort((children.step, children.code, step, code))
    code, step, rows = code[order], step[order], children.at(order)
    heads = _heads(code, step)
    last = np.append(_changes(rows.code, code, step), True)
    known = last & (rows.state != NONE)
    count = np.add.reduceat(known.astype(np.int64), heads, axis=1)
    total = np.add.reduceat(np.where(known, rows.state, 0), heads, axis=1)
    mean = np.where(count > 0, total // np.maximum(count, 1), NONE)
    events = np.add.reduceat(rows.events, heads)
    n, total_of = (np.add.reduceat(each, heads, axis=1) for each in (rows.n, rows.total))
    return Steps(code[heads], step[heads], events, n, total_of, mean, mean)


def relax(states: States, steps: Steps, coupling: int) -> tuple[States, Steps, Ints]:
    """Move the state of each region toward the mean of each of its steps, one after the other.

    Parameters
    ----------
    states
        Before.
    steps
        K steps by (code, step).
    coupling
        In parts of COUPLING.

    Returns
    -------
    The states after, the steps with the states after each of them, and (M, K) the states before each of them.
    """
    first = np.append(True, steps.code[1:] != steps.code[:-1]) if len(steps.code) else np.empty(0, np.bool_)
    heads = np.flatnonzero(first)
    rank = np.arange(len(first)) - np.repeat(heads, np.diff(np.append(heads, len(first))))
    before, after = np.full_like(steps.mean, NONE), np.empty_like(steps.mean)
    before[:, heads] = _known(states, steps.code[heads])
    turns = np.argsort(rank, kind="stable")
    for rows in np.split(turns, np.searchsorted(rank[turns], np.arange(1, int(rank.max(initial=0)) + 1))):
        again = rows[~first[rows]]
        before[:, again] = after[:, again - 1]
        after[:, rows] = _moved(before[:, rows], steps.mean[:, rows], coupling)
    ends = np.append(heads[1:], len(first)) - 1
    return _joined(states, steps.code[heads], after[:, ends]), steps._replace(state=after), before


def distinct(group: NDArray[np.intp], agent_id: NDArray[np.uint64], size: int) -> Ints:
    """Return the (G,) numbers of distinct agents among (N,) pairs of a group and an agent.

    >>> distinct(np.array([1, 1, 0]), np.array([7, 7, 7], np.uint64), 3).tolist()
    [1, 1, 0]
    """
    order = np.lexsort((agent_id, group))
    group, agent_id = group[order], agent_id[order]
    new = np.append(True, (group[1:] != group[:-1]) | (agent_id[1:] != agent_id[:-1]))[: len(group)]
    return np.bincount(group[new], minlength=size)


def locate(steps: Steps, code: Ints, step: Ints) -> NDArray[np.intp]:
    """Return the places of (N,) pairs of code and step among K steps, where each of them is.

    >>> steps, _ = ground(np.array([5, 4]), np.array([0, 7]), np.zeros((0, 2), "i8"), np.zeros((0, 2), "?"))
    >>> locate(steps, np.array([4, 5, 4]), np.array([7, 0, 7])).tolist()
    [0, 1, 0]
    """
    size = len(steps.code)
    codes, numbers = np.append(steps.code, code), np.append(steps.step, step)
    order = np.lexsort((numbers, codes))
    of = np.empty(len(order), np.intp)
    of[order] = np.cumsum(np.append(True, _changes(codes[order], numbers[order]))[: len(order)]) - 1
    place = np.empty(size, np.intp)
    place[of[:size]] = np.arange(size)
    return place[of[size:]]


def join_steps(parts: list[Steps]) -> Steps:
    """Return the steps of several senders, by (code, step)."""
    joined = Steps._make(np.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True))
    return joined.at(np.lexsort((joined.step, joined.code)))


def _heads(*keys: Ints) -> NDArray[np.intp]:
    return np.flatnonzero(np.append(True, _changes(*keys)))


def _changes(*keys: Ints) -> NDArray[np.bool_]:
    """Return (N - 1,) whether some key changes to the next row."""
    changed: NDArray[np.bool_] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return changed


def _known(states: States, code: Ints) -> Ints:
    found = np.full((len(states.value), len(code)), NONE)
    at = np.searchsorted(states.code, code)
    there = at < len(states.code)
    there[there] = states.code[at[there]] == code[there]
    found[:, there] = states.value[:, at[there]]
    return found


def _moved(before: Ints, mean: Ints, coupling: int) -> Ints:
    moved = before + ((mean - before) * coupling >> COUPLING.bit_length() - 1)
    found: Ints = np.where(mean == NONE, before, np.where(before == NONE, mean, moved))
    return found


def _joined(states: States, code: Ints, value: Ints) -> States:
    at = np.searchsorted(states.code, code)
    there = at < len(states.code)
    there[there] = states.code[at[there]] == code[there]
    kept = states.value.copy()
    kept[:, at[there]] = value[:, there]
    if there.all():
        return States(states.code, kept)
    codes = np.insert(states.code, at[~there], code[~there])
    return States(codes, np.insert(kept, at[~there], value[:, ~there], axis=1))
