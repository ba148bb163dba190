"""What the agents of a group agree on: the mean of a value, and the option that most of them vote for.

All that is summed is integers (`kernels.metric`), so the answer does not depend on the order of the agents, and the
parts of a group that lies on several shards add up to the same bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.group import Index
from kernels.metric import Metric
from kernels.statistics import finalise

__all__ = ["Ballot", "Consensus", "check_ballot", "consensus", "merge"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ballot:
    """What N agents say, each a member of one group.

    Parameters
    ----------
    group
        (N,) int32 or int64, in [0, size).
    size
        Number of groups G.
    values
        (N,) float32 in the range of the metric; NaN: no value.
    votes
        (N,) int32 or int64 options in [0, options); below 0: abstains.
    options
        Number of options O.
    """

    group: Index
    size: int
    values: NDArray[np.float32]
    votes: Index
    options: int


@dataclass(frozen=True)
class Consensus:
    """What G groups agree on.

    Attributes
    ----------
    n, total
        (G,) int64 agents with a value, and the sum of their values in steps.
    votes
        (G, O) int64 votes for each option.
    choice
        (G,) int32 the option with the most votes, the first of several; -1 where nobody votes.
    support
        (G,) int64 votes for it.
    """

    n: Ints
    total: Ints
    votes: Ints
    choice: NDArray[np.int32]
    support: Ints

    @classmethod
    def of(cls, n: Ints, total: Ints, votes: Ints) -> "Consensus":
        """Decide by counted votes."""
        support = votes.max(axis=1)
        choice = np.where(support > 0, votes.argmax(axis=1), -1).astype(np.int32)
        return cls(n, total, votes, choice, support)

    def mean(self, metric: Metric) -> NDArray[np.float64]:
        """Return the (G,) means in the metric's unit, NaN where no agent has a value."""
        return finalise(self.n, self.total, None, None, metric.scale)[0]


def consensus(ballot: Ballot, metric: Metric) -> Consensus:
    """Count what agents say, and decide.

    Parameters
    ----------
    ballot
        What they say.
    metric
        Of the values: the steps in which they are summed.

    Raises
    ------
    ValueError, IndexError
        A group or a vote is out of range.

    Examples
    --------
    >>> said = Ballot(np.array([0, 0, 0, 1]), 2, np.array([1, 2, 6, np.nan], "f4"), np.array([2, 0, 2, -1]), 3)
    >>> found = consensus(said, Metric("heading", 0.5, 0, 9))
    >>> found.mean(Metric("heading", 0.5, 0, 9)).tolist(), found.choice.tolist(), found.support.tolist()
    ([3.0, nan], [2, -1], [2, 0])
    """
    check_ballot(ballot)
    where, size = ballot.group.astype(np.intp, copy=False), ballot.size
    n = np.bincount(where[~np.isnan(ballot.values)], minlength=size)
    total = np.zeros(size, np.int64)
    np.add.at(total, where, metric.quantise(ballot.values))
    cast = ballot.votes >= 0
    box = where[cast] * ballot.options + ballot.votes[cast]
    votes = np.bincount(box, minlength=size * ballot.options).reshape(size, ballot.options)
    return Consensus.of(n, total, votes)


def merge(parts: Sequence[Consensus]) -> Consensus:
    """Return what the same G groups agree on whose agents were counted in one or more parts.

    Examples
    --------
    >>> heading = Metric("heading", 0.5, 0, 9)
    >>> said = Ballot(np.array([0, 0]), 1, np.array([1, 2], "f4"), np.array([1, 0]), 2)
    >>> more = Ballot(np.array([0]), 1, np.array([6], "f4"), np.array([1]), 2)
    >>> both = merge([consensus(said, heading), consensus(more, heading)])
    >>> both.mean(heading).tolist(), both.choice.tolist()
    ([3.0], [1])
    """
    sums = ([part.n for part in parts], [part.total for part in parts], [part.votes for part in parts])
    return Consensus.of(*(np.sum(each, axis=0) for each in sums))


def check_ballot(ballot: Ballot) -> None:
    """Check what every form of `consensus` is given."""
    agents = len(ballot.group)
    if not agents == len(ballot.values) == len(ballot.votes):
        lengths = f"{agents}, {len(ballot.values)} and {len(ballot.votes)}"
        raise ValueError(f"expected a group, a value and a vote an agent, got {lengths}")
    if ballot.options < 1:
        raise ValueError(f"expected options to vote for, got {ballot.options}")
    if not agents:
        return
    low, high, vote = int(ballot.group.min()), int(ballot.group.max()), int(ballot.votes.max())
    if low < 0 or high >= ballot.size:
        raise IndexError(f"expected groups from 0 to {ballot.size - 1}, got {low} to {high}")
    if vote >= ballot.options:
        raise ValueError(f"expected votes up to {ballot.options - 1}, got {vote}")
