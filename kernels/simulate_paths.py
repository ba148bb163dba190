"""Where simulated agents go: smooth paths through seeded waypoints, as pure functions of (seed, agent, time).

A path is a uniform quadratic B-spline (de Boor, "A Practical Guide to Splines", 1978): on leg k, with u in [0, 1),

    p(u) = (A + B)/2 + (B - A) u + (A - 2B + C)/2 u^2        A, B, C: its waypoints k, k + 1, k + 2

so position and velocity are continuous, and a path never leaves the box of its waypoints. The waypoint of an agent is

    (1 - a) own + a ((1 - b) flock + b swarm)        a = 0.9 coupling, b = 0.5 coupling

of its own, its flock's leader's, and one that all flocks share: with rising coupling the flocks draw together and
align, and so do then the flocks among themselves. Leaders are paths, not agents, so a partition needs nothing from
another. A waypoint is a hash (`mix64`) of what it belongs to and its number; beyond hashes, only + - * / are used, so
every CPU gives the same bits.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError
from kernels.hashing import mix64

__all__ = ["MARGIN", "Legs", "World", "inner_box", "keys_of", "mixed_legs"]

MARGIN = 0.01  # of the world, on each side: no path enters it, only noise and rounding do

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the increment of splitmix64: odd, so no two multiples are equal
_FIELD = np.uint64(2**21 - 1)  # three fields of 21 bits of one hash: a float32 holds 24 exactly
_FLOCK, _SWARM = 1 << 62, 1 << 63  # what sets the keys of leaders and of the swarm apart from those of agents
_LEVEL_PULL = np.float32(0.125)  # each level up stays closer to the middle: level 6 in the inner quarter


class World(NamedTuple):
    """The box that waypoints are drawn from: its lower corner and its edges, (3, 1) float32, metres."""

    low_m: NDArray[np.float32]
    edge_m: NDArray[np.float32]


class Legs(NamedTuple):
    """One leg of each of N paths: p(u) = start + slope u + bend u^2; each (3, N) float32, metres."""

    start_m: NDArray[np.float32]
    slope_m: NDArray[np.float32]
    bend_m: NDArray[np.float32]


def inner_box(
    low_m: tuple[float, float, float], high_m: tuple[float, float, float]
) -> tuple[World, tuple[float, ...]]:
    """Return what the margin leaves of the box from `low_m` to `high_m`, and the edges of the whole box.

    Raises
    ------
    ConfigError
        An edge is not positive and finite, or float32 cannot tell a thousandth of it apart there.
    """
    edges = tuple(high - low for low, high in zip(low_m, high_m, strict=True))
    for axis, low, high, edge in zip("xyz", low_m, high_m, edges, strict=True):
        # Rounding must stay far inside the margin.
        if not edge / 1000 >= float(np.spacing(np.float32(max(abs(low), abs(high))))):
            raise ConfigError(
                f"the world's {axis} goes from {low} to {high} m",
                "It must be finite, the lower end first, and wide enough for positions in float32",
            )
    corner_m = [[low + MARGIN * edge] for low, edge in zip(low_m, edges, strict=True)]
    inner_m = [[(1 - 2 * MARGIN) * edge] for edge in edges]
    return World(np.array(corner_m, np.float32), np.array(inner_m, np.float32)), edges


def keys_of(ids: NDArray[np.uint64], *, seed: int) -> NDArray[np.uint64]:
    """Return the key of each id under `seed`, (N,): what its waypoints and its noise are drawn from.

    Ids from 2^62 on are for what is no agent: leaders, the swarm, ticks.
    """
    scrambled = mix64(np.array([seed], np.uint64) + _GOLDEN)
    return mix64(ids ^ scrambled)


def mixed_legs(
    keys: NDArray[np.uint64],
    *,
    flock: NDArray[np.uint64],
    level: NDArray[np.uint8],
    leg: int,
    phase: float,
    coupling: float,
    seed: int,
    world: World,
) -> Legs:
    """Return leg number `leg` of the paths of N agents.

    Parameters
    ----------
    keys
        (N,) from `keys_of`.
    flock, level
        (N,) number of each agent's flock, and its level.
    leg, phase
        These agents begin leg k at time k + phase, in legs; 0 <= phase < 1. Leaders begin theirs at whole numbers, and
        are sampled between them: so a flock whose agents turn at different times still moves as one.
    coupling
        0: every agent goes its own way, to 1: the flocks move, and mostly as one.
    """
    own_share, led_share = np.float32(1 - 0.9 * coupling), np.float32(0.9 * coupling)
    flock_share, swarm_share = np.float32(1 - 0.5 * coupling), np.float32(0.5 * coupling)
    inner = np.float32(1) - _LEVEL_PULL * level.astype(np.float32)
    half = np.float32(0.5)
    leader = keys_of(flock | np.uint64(_FLOCK), seed=seed)
    swarm = keys_of(np.array([_SWARM], np.uint64), seed=seed)
    led = _track(leader, leg, phase) * flock_share + _track(swarm, leg, phase) * swarm_share
    points = _waypoints(keys, range(leg, leg + 3))
    points -= half
    points *= inner
    points += half
    points *= own_share
    points += led * led_share
    points *= world.edge_m
    points += world.low_m
    a, b, c = points
    return Legs((a + b) * half, b - a, (a - b + (c - b)) * half)


def _track(keys: NDArray[np.uint64], leg: int, phase: float) -> NDArray[np.float32]:
    """Return (3, 3, N): what lies `phase` of the way from waypoint k to k + 1, for k = `leg`, `leg` + 1, `leg` + 2."""
    points = _waypoints(keys, range(leg, leg + 4))
    return points[:-1] + (points[1:] - points[:-1]) * np.float32(phase)


def _waypoints(keys: NDArray[np.uint64], numbers: range) -> NDArray[np.float32]:
    """Return (len(numbers), 3, N): these waypoints of each key, uniform in the unit box [0, 1)."""
    points = np.empty((len(numbers), 3, len(keys)), np.float32)
    for point, number in zip(points, numbers, strict=True):
        bits = mix64(keys + np.array([number % 2**64], np.uint64) * _GOLDEN)
        for axis, shift in enumerate((43, 22, 1)):
            point[axis] = (bits >> np.uint64(shift)) & _FIELD
    points *= np.float32(2.0**-21)
    return points
