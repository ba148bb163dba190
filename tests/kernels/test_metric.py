import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import ConfigError
from kernels.metric import MAX_BATCH_EVENTS, MAX_STEPS, Metric

SPEED = Metric("speed_mps", 0.001, -400.0, 400.0)
VALUES = st.lists(st.floats(-400, 400, width=32) | st.just(math.nan))


@given(VALUES)
def test_quantise_rounds_half_to_even(values: list[float]) -> None:
    """Steps are the exact value times 1000, rounded with ties to even; no value gives 0."""
    steps = SPEED.quantise(np.array(values, np.float32))
    assert steps.dtype == np.int64
    assert steps.tolist() == [0 if math.isnan(v) else round(Fraction(v) * 1000) for v in values]


def test_ties_go_to_even() -> None:
    """Halves of a step go to the even neighbour, on both sides of zero."""
    halves = Metric("v", 1.0, -9.0, 9.0)
    assert halves.quantise(np.array([0.5, 1.5, 2.5, -0.5, -1.5], "f4")).tolist() == [0, 2, 2, 0, -2]


def test_any_nan_is_no_value() -> None:
    """A NaN with any bits, signaling ones as well, gives 0 without a warning, in quantise as in out_of_range."""
    odd = np.array([0x7FA00001, 0xFFC12345], "u4").view("f4")
    assert SPEED.quantise(odd).tolist() == [0, 0]
    assert SPEED.out_of_range(odd) is None


@given(VALUES)
def test_steps_stay_within_q_max(values: list[float]) -> None:
    """No value in range has more steps than q_max."""
    assert (np.abs(SPEED.quantise(np.array(values, np.float32))) <= SPEED.q_max).all()


@given(st.lists(st.floats(width=32)))
def test_out_of_range_is_infinite_or_beyond_the_bounds(values: list[float]) -> None:
    """Exactly infinities and values beyond the bounds are out of range; None says there are none."""
    expected = [not math.isnan(v) and not -400 <= v <= 400 for v in values]
    found = SPEED.out_of_range(np.array(values, np.float32))
    assert (found is None) == (not any(expected))
    assert found is None or found.tolist() == expected


def test_a_bound_that_float32_rounds_is_in_range() -> None:
    """The bounds are those of float32: 0.1 as a float32 is not above 0.1."""
    assert Metric("v", 0.01, 0.0, 0.1).out_of_range(np.array([0.1], "f4")) is None


def test_the_proof_against_overflow_holds() -> None:
    """A full batch of the largest steps has a sum of squares below 2**63."""
    assert MAX_BATCH_EVENTS * (MAX_STEPS - 1) ** 2 < 2**63
    assert Metric("v", 1.0, -8388607.0, 8388607.0).q_max == MAX_STEPS - 1


@pytest.mark.parametrize(
    ("resolution", "low", "high", "word"),
    [
        (0.0, 0.0, 1.0, "resolution"),
        (math.nan, 0.0, 1.0, "resolution"),
        (math.inf, 0.0, 1.0, "resolution"),
        (1.0, 1.0, 1.0, "low < high"),
        (1.0, math.nan, 1.0, "low < high"),
        (1.0, 0.0, math.inf, "low < high"),
        (0.001, 0.0, 172_448.0, "172448000 steps"),
        (1.0, 0.0, 8388608.0, "8388608 steps"),
        (5e-324, 0.0, 1.0, "steps"),
    ],
)
def test_a_metric_that_could_wrap_is_refused(resolution: float, low: float, high: float, word: str) -> None:
    """No resolution, an empty range, or 2**23 steps and more are an error that names the metric and the number."""
    with pytest.raises(ConfigError, match=word):
        Metric("energy", resolution, low, high)
