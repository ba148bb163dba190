"""The legs of simulated paths join, stay in their box, and follow their flock by the coupling."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.simulate_paths import Legs, World, keys_of, mixed_legs

N = 400
WORLD = World(np.array([[0], [-50], [5]], np.float32), np.array([[100], [100], [10]], np.float32))


def _legs(leg: int, *, coupling: float = 0.3, phase: float = 0.25, flocks: int = 4) -> Legs:
    ids = np.arange(1, N + 1, dtype=np.uint64)
    return mixed_legs(
        keys_of(ids, seed=3),
        flock=ids % np.uint64(flocks),
        level=(ids % np.uint64(7)).astype(np.uint8),
        leg=leg,
        phase=phase,
        coupling=coupling,
        seed=3,
        world=WORLD,
    )


def _at(legs: Legs, u: float) -> NDArray[np.float64]:
    position_m: NDArray[np.float64] = (
        legs.start_m + legs.slope_m * np.float64(u) + legs.bend_m * np.float64(u**2)
    )
    return position_m


@pytest.mark.parametrize("coupling", [0.0, 0.3, 1.0])
def test_legs_join(coupling: float) -> None:
    """A leg ends where, and as fast as, the next one begins."""
    for leg in (-1, 0, 5):
        before, after = _legs(leg, coupling=coupling), _legs(leg + 1, coupling=coupling)
        np.testing.assert_allclose(_at(before, 1.0), after.start_m, atol=1e-4)
        np.testing.assert_allclose(before.slope_m + 2 * before.bend_m, after.slope_m, atol=1e-4)


def test_paths_stay_in_the_box() -> None:
    """No path leaves the box that its waypoints are drawn from, up to rounding."""
    for u in np.linspace(0, 1, 9):
        position_m = _at(_legs(2, coupling=0.0), float(u))
        assert (position_m > WORLD.low_m - 1e-3).all()
        assert (position_m < WORLD.low_m + WORLD.edge_m + 1e-3).all()


def test_waypoints_fill_the_box() -> None:
    """Without coupling the agents of level 0 are spread over the box, each axis on its own."""
    start_m = _legs(0, coupling=0.0).start_m[:, np.arange(1, N + 1) % 7 == 0]
    part = (start_m - WORLD.low_m) / WORLD.edge_m
    assert (np.abs(part.mean(axis=1) - 0.5) < 0.1).all()
    assert (np.abs(part.std(axis=1) - np.sqrt(1 / 24)) < 0.05).all()  # of the mean of two uniform values
    assert (np.abs(np.corrcoef(part) - np.eye(3)) < 0.4).all()


def test_full_coupling_gathers_a_flock() -> None:
    """With full coupling an agent is within a tenth of the world from its flock's middle."""
    start_m = _legs(0, coupling=1.0).start_m
    for flock in range(4):
        members = start_m[:, np.arange(1, N + 1) % 4 == flock]
        assert (np.ptp(members, axis=1) <= 0.1 * WORLD.edge_m[:, 0] + 1e-4).all()


def test_leaders_are_sampled_in_step() -> None:
    """At one time, agents that turned at different times are led from about the same place."""
    early, late = _legs(0, coupling=1.0, phase=0.25), _legs(0, coupling=1.0, phase=0.75)
    apart_m = np.abs(_at(early, 0.75) - _at(late, 0.25))
    assert (apart_m < 0.15 * WORLD.edge_m).all()
