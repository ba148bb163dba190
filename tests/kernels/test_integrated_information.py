"""Integrated information against closed forms of autoregressive systems of two nodes, and of systems in parts.

For x' = A x + e with noise of covariance N the stationary covariance S solves S = A S A^T + N and the lagged one is A S.
Barrett and Seth (2011) define Phi_E by these; with A = [[a, b], [b, a]] and N = 1 the modes (1, 1) and (1, -1) decouple
with the eigenvalues a + b and a - b, which gives the forms below.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.errors import ConfigError
from kernels.integrated_information import MAX_PARTS, integrate, memories
from kernels.lagged_covariance import LaggedCovariance

Matrix = NDArray[np.float64]


def stationary(a: Matrix, noise: Matrix | None = None) -> Matrix:
    """The joint covariance of (x, x') of x' = a x + e."""
    n = len(a)
    noise = np.eye(n) if noise is None else noise
    s = np.linalg.solve(np.eye(n * n) - np.kron(a, a), noise.reshape(-1)).reshape(n, n)
    return np.block([[s, s @ a.T], [a @ s, s]])


def symmetric_pair(a: float, b: float) -> float:
    """Phi of x' = [[a, b], [b, a]] x + e in closed form."""
    up, down = 1 / (1 - (a + b) ** 2), 1 / (1 - (a - b) ** 2)
    correlation = ((a + b) * up + (a - b) * down) / (up + down)
    return 0.5 * (math.log(up) + math.log(down)) + math.log(1 - correlation**2)


def revised_pair(a: float, b: float) -> float:
    """Phi_R of the same: the least of what a node's past tells of its own present and of the other's is given back."""
    up, down = 1 / (1 - (a + b) ** 2), 1 / (1 - (a - b) ** 2)
    told = [((a + b) * up + sign * (a - b) * down) / (up + down) for sign in (1, -1)]
    return symmetric_pair(a, b) + min(-0.5 * math.log(1 - r**2) for r in told)


def one_way(a: float) -> float:
    """Phi of x1' = e1, x2' = a x1 + e2: the parts know nothing of themselves, the whole ln(1 + a^2) / 2."""
    return 0.5 * math.log(1 + a**2)


@pytest.mark.parametrize(
    ("a", "b"), [(0.0, 0.5), (0.3, 0.3), (0.5, 0.2), (-0.4, 0.5), (0.45, 0.45), (0.9, 0.05)]
)
def test_a_symmetric_pair(a: float, b: float) -> None:
    """As the closed form has it, to 1e-7: also where nodes that go along with each other are redundant and it is below 0."""
    found = integrate(stationary(np.array([[a, b], [b, a]])))
    assert found.phi == pytest.approx(symmetric_pair(a, b), abs=1e-7)
    assert (found.phi < 0) == ((a, b) in {(0.45, 0.45), (0.9, 0.05)})
    assert found.revised == pytest.approx(revised_pair(a, b), abs=1e-7)
    assert found.revised >= 0
    assert found.information == pytest.approx(
        -0.5 * (math.log(1 - (a + b) ** 2) + math.log(1 - (a - b) ** 2)), abs=1e-7
    )
    assert (found.cut, found.moving) == (1, 2)


@pytest.mark.parametrize("a", [0.1, 0.7, 3.0])
def test_a_pair_of_which_one_follows_the_other(a: float) -> None:
    """ln(1 + a^2) / 2."""
    found = integrate(stationary(np.array([[0, 0], [a, 0]])))
    assert found.phi == pytest.approx(one_way(a), abs=1e-7)
    assert found.revised == pytest.approx(one_way(a), abs=1e-7)


def test_noise_that_both_hear_is_no_integration() -> None:
    """Two nodes that remember equally well and never meet have Phi 0, however much their noise is the same."""
    noise = np.array([[1.0, 0.95], [0.95, 1.0]])
    assert integrate(stationary(np.eye(2) * 0.8, noise)).phi == pytest.approx(0, abs=1e-6)


def systems(n: int) -> st.SearchStrategy[Matrix]:
    """Stable systems of n nodes."""
    rows = st.lists(st.floats(-1, 1), min_size=n * n, max_size=n * n)
    return rows.map(lambda v: np.array(v).reshape(n, n) * 0.9 / max(1.0, n))


@given(systems(2), systems(3))
def test_independent_parts_integrate_nothing(one: Matrix, other: Matrix) -> None:
    """A system in two parts that never meet has Phi 0 or less, and the cut between them has phi 0."""
    a = np.zeros((5, 5))
    a[:2, :2], a[2:, 2:] = one, other
    both = stationary(a)
    parts = memories(both)[0]
    assert parts[-1] - parts[0b00011 - 1] - parts[0b11100 - 1] == pytest.approx(0, abs=1e-7)
    assert integrate(both).phi <= 1e-7
    assert integrate(both).revised <= 1e-7


@given(systems(4), st.permutations(range(4)), st.lists(st.floats(0.01, 100), min_size=4, max_size=4))
def test_names_and_units_do_not_matter(a: Matrix, order: list[int], units: list[float]) -> None:
    """Renamed nodes in other units have the same Phi, and the cut is that of the renamed nodes."""
    both = stationary(a)
    index = np.array([*order, *(k + 4 for k in order)])
    scale = np.array([units[k] for k in order] * 2)
    renamed = both[np.ix_(index, index)] * (scale[:, None] * scale)
    one, other = integrate(both), integrate(renamed)
    assert other.phi == pytest.approx(one.phi, abs=1e-9)
    assert other.revised == pytest.approx(one.revised, abs=1e-9)
    back = sum(1 << order[k] for k in range(4) if other.cut >> k & 1)
    own = memories(both)[0]
    cost = [own[m - 1] + own[14 - m] for m in (one.cut, back)]
    assert cost[0] == pytest.approx(cost[1], abs=1e-9), "several cuts may be the least"


@given(systems(4))
def test_the_least_cut_of_all(a: Matrix) -> None:
    """Each cut by itself, with determinants of its own blocks."""
    both = stationary(a)

    def told(past: list[int], present: list[int]) -> float:
        after = [k + 4 for k in present]
        ends = np.linalg.det(both[np.ix_(past, past)]) * np.linalg.det(both[np.ix_(after, after)])
        return 0.5 * math.log(ends / np.linalg.det(both[np.ix_(past + after, past + after)]))

    phis, revised = [], []
    for bits in range(1, 8):
        part = [k for k in range(4) if bits >> k & 1]
        rest = [k for k in range(4) if k not in part]
        phis.append(told([0, 1, 2, 3], [0, 1, 2, 3]) - told(part, part) - told(rest, rest))
        revised.append(phis[-1] + min(told(p, q) for p in (part, rest) for q in (part, rest)))
    found = integrate(both)
    assert found.phi == pytest.approx(min(phis), abs=1e-6)
    assert found.revised == pytest.approx(min(revised), abs=1e-6)


def test_what_stands_still_is_left_out() -> None:
    """A node that never moves is in no part; with fewer than two that do there is nothing to integrate."""
    both = stationary(np.array([[0.2, 0.4], [0.4, 0.2]]))
    still = np.zeros((6, 6))
    index = np.ix_([0, 2, 3, 5], [0, 2, 3, 5])
    still[index] = both
    found = integrate(still, np.ones(6))
    assert (found.phi, found.moving, found.cut) == (pytest.approx(integrate(both).phi), 2, 0b001)
    assert integrate(np.diag([1.0, 0.0, 1.0, 0.0]), np.ones(4)) == (0.0, 0.0, 0.0, 0, 1)


def test_more_than_ten_are_refused() -> None:
    """The number of cuts doubles with every variable."""
    with pytest.raises(ConfigError, match="at most 10"):
        integrate(np.eye(2 * MAX_PARTS + 2))


def test_ten_variables_are_all_that_is_asked() -> None:
    """The least of 511 cuts of ten nodes that never meet is 0."""
    found = integrate(stationary(np.eye(10) * 0.5))
    assert (found.phi, found.moving) == (pytest.approx(0, abs=1e-7), 10)


@given(
    st.lists(st.lists(st.floats(-100, 100), min_size=2, max_size=2), max_size=30),
    st.floats(1, 1000),
    st.integers(0, 30),
)
def test_the_covariance_is_that_of_the_weighted_pairs(
    states: list[list[float]], memory: float, cut: int
) -> None:
    """As the definition has it, and the same bits when it goes on from a snapshot."""
    seen = LaggedCovariance(2, memory=memory)
    broken = LaggedCovariance(2, memory=memory)
    for number, state in enumerate(states):
        if number == cut:
            saved = broken.snapshot()
            broken = LaggedCovariance(2, memory=memory)
            broken.restore(saved)
        seen.step(np.array(state))
        broken.step(np.array(state))
    assert seen.matrix.tobytes() == broken.matrix.tobytes()
    if len(states) < 2:
        assert not seen.matrix.any()
        return
    pairs = np.hstack((np.array(states[:-1]), np.array(states[1:])))
    weights = np.exp(-np.arange(len(pairs))[::-1] / memory)
    assert seen.matrix == pytest.approx(np.cov(pairs.T, aweights=weights, ddof=0), rel=1e-6, abs=1e-6)
    assert seen.pairs == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_a_simulated_pair_comes_near_its_closed_form() -> None:
    """From 20,000 pairs of states with a long memory to 0.01 nats; independent nodes to 0.001."""
    rng = np.random.default_rng(6)
    for a, expected in (
        (np.array([[0.3, 0.3], [0.3, 0.3]]), symmetric_pair(0.3, 0.3)),
        (np.eye(2) * 0.6, 0.0),
    ):
        seen, x = LaggedCovariance(2, memory=1e5), np.zeros(2)
        for noise in rng.standard_normal((20_000, 2)):
            x = a @ x + noise
            seen.step(x)
        assert integrate(seen.matrix, seen.scale).phi == pytest.approx(
            expected, abs=0.01 if expected else 0.001
        )
