import math
from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.metric import MAX_STEPS
from kernels.statistics import finalise, split_limbs, total

STEPS = st.lists(st.integers(1 - MAX_STEPS, MAX_STEPS - 1), min_size=1, max_size=30)
# Each value this often: so often that the sums of squares need both limbs, and centred sums pass 2**62.
REPEATS = st.sampled_from([1, 1000, 2**20, 2**35])


def close(found: float, exact: Fraction) -> bool:
    """Equal up to a few roundings."""
    return abs(Fraction(found) - exact) <= abs(exact) * Fraction(1, 2**49)


def moments(steps: list[int], repeats: int) -> tuple[NDArray[np.int64], ...]:
    """Count, sum, and limbs that are not normalised, of values that come `repeats` times each."""
    squares = repeats * sum(q * q for q in steps)
    lo, hi = squares & 0xFFFFFFFF, squares >> 32
    if hi:
        lo, hi = lo + 2**32, hi - 1
    return tuple(np.array([k], np.int64) for k in (repeats * len(steps), repeats * sum(steps), lo, hi))


@given(STEPS, REPEATS, st.sampled_from([1.0, 1000.0, 0.25, 1 / 3]))
@example([MAX_STEPS - 1, 1 - MAX_STEPS], 2**35, 1.0)
@example([MAX_STEPS - 1] * 29 + [MAX_STEPS - 2], 2**35, 1.0)
def test_mean_and_variance_are_those_of_fractions(steps: list[int], repeats: int, scale: float) -> None:
    """Mean and variance agree with exact fractions to a few roundings, however large the mean is."""
    mean, variance = finalise(*moments(steps, repeats), scale)
    exact_mean = Fraction(sum(steps), len(steps))
    exact_variance = Fraction(sum(q * q for q in steps), len(steps)) - exact_mean**2
    assert variance is not None
    assert close(mean[0], exact_mean / Fraction(scale))
    assert variance[0] >= 0
    assert close(variance[0], exact_variance / Fraction(scale) ** 2)


@given(st.integers(1 - MAX_STEPS, MAX_STEPS - 1), st.integers(1, 2**38))
def test_equal_values_have_no_variance(step: int, n: int) -> None:
    """The variance of equal values is exactly 0."""
    _, variance = finalise(*moments([step], n), 0.7)
    assert variance is not None
    assert variance[0] == 0


def test_no_values_give_nan() -> None:
    """Without values mean and variance are NaN, beside groups that have some; without groups they are empty."""
    mean, variance = finalise(*np.array([[0, 2], [0, 6], [0, 20], [0, 0]]), 2.0)
    assert variance is not None
    assert np.array_equal(mean, [math.nan, 1.5], equal_nan=True)
    assert np.array_equal(variance, [math.nan, 0.25], equal_nan=True)
    empty = np.empty(0, np.int64)
    assert [len(each) for each in finalise(empty, empty, empty, empty, 1.0) if each is not None] == [0, 0]


def test_without_squares_there_is_no_variance() -> None:
    """Where no sums of squares are kept only the mean is computed."""
    mean, variance = finalise(np.array([2]), np.array([3]), None, None, 1.0)
    assert mean.tolist() == [1.5]
    assert variance is None


@given(st.integers(0, 2**63 - 1))
def test_limbs_make_up_the_sum(squares: int) -> None:
    """The limbs of a sum of squares give it back, and the low one has 32 bits."""
    lo, hi = split_limbs(np.array([squares]))
    assert 0 <= lo[0] < 2**32
    assert (int(hi[0]) << 32) + int(lo[0]) == squares


def test_totals_are_in_the_unit_of_the_metric() -> None:
    """A sum of steps divided by the steps per unit is the nearest float64."""
    assert total(np.array([3, -10]), 1000.0).tolist() == [0.003, -0.01]
