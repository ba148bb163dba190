"""The layers against closed forms: what a point source spreads to, what is left of it, how the error falls with h."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.deposits import Deposits, gather
from kernels.diffusion import Diffusion, diffuse, gradient
from kernels.errors import ConfigError
from kernels.fields import FieldConfig, Fields
from kernels.lattice import BOUNDARIES, Boundary, Lattice
from kernels.potential import Screening, relax
from kernels.trilinear import UNIT

ORIGIN = (0.0, 0.0, 0.0)
STEP_S = 0.1


def cube(cells: int, edge_m: float, boundary: Boundary = "reflecting") -> Lattice:
    """A cube around (0, 0, 0)."""
    corner = -cells * edge_m / 2
    return Lattice((corner, corner, corner), (edge_m,) * 3, (cells,) * 3, boundary)


def axes_of(lattice: Lattice) -> list[NDArray[np.float64]]:
    """x, y, z of the nodes, each to be broadcast over (nz, ny, nx)."""
    found = []
    for axis, (low, edge, n) in enumerate(zip(lattice.min_m, lattice.cell_m, lattice.shape, strict=True)):
        shape = [1, 1, 1]
        shape[2 - axis] = n
        found.append((low + edge * (np.arange(n) + 0.5)).reshape(shape))
    return found


def run(diffusion: Diffusion, start: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Return the field after some steps."""
    lattice = diffusion.lattice
    now, other = lattice.zeros(), lattice.zeros()
    lattice.inner(now)[:] = start
    for _ in range(steps):
        lattice.close(now)
        diffuse(now, diffusion, other)
        now, other = other, now
    return lattice.inner(now).astype(np.float64)


@pytest.mark.parametrize("edges", [(1.0, 1.0, 1.0), (1.0, 2.0, 1.5)])
def test_a_point_spreads_by_two_d_t_per_axis(edges: tuple[float, float, float]) -> None:
    """The variance along each axis grows by 2 D dt a step, whatever the edges of the cells, to 1e-4 of it."""
    lattice = Lattice(ORIGIN, edges, (41, 41, 41))
    diffusion = Diffusion(lattice, STEP_S, 0.9, 0.0)
    start = np.zeros((41, 41, 41))
    start[20, 20, 20] = 1.0
    field = run(diffusion, start, 60)
    for p in axes_of(lattice):
        mean = (field * p).sum() / field.sum()
        variance = (field * (p - mean) ** 2).sum() / field.sum()
        assert variance == pytest.approx(2 * 0.9 * 60 * STEP_S, rel=1e-4)


def test_what_evaporates() -> None:
    """Without diffusion every value falls as exp(-k t), and so does the whole with diffusion."""
    lattice = cube(16, 1.0)
    start = np.random.default_rng(1).random((16, 16, 16))
    for diffusion in (Diffusion(lattice, STEP_S, 0.0, 0.3), Diffusion(lattice, STEP_S, 1.0, 0.3)):
        field = run(diffusion, start, 100)
        assert field.sum() == pytest.approx(start.sum() * math.exp(-0.3 * 10), rel=2e-5)
    assert run(Diffusion(lattice, STEP_S, 0.0, 0.3), start, 100) == pytest.approx(
        start * math.exp(-3.0), rel=2e-5
    )


@pytest.mark.parametrize("boundary", ["reflecting", "periodic"])
def test_nothing_is_lost(boundary: Boundary) -> None:
    """Between borders that reflect, and around a torus, mass is conserved to 1e-6, and ends up even."""
    lattice = cube(8, 1.0, boundary)
    start = np.zeros((8, 8, 8))
    start[0, 0, 7] = 512.0
    field = run(Diffusion(lattice, STEP_S, 1.6, 0.0), start, 3000)
    assert field.sum() == pytest.approx(512.0, rel=1e-6)
    assert field == pytest.approx(np.ones_like(field), rel=1e-4)


def test_absorbing_borders_take() -> None:
    """The slowest mode between two empty cells decays as its eigenvalue says."""
    n, d = 15, 1.2
    lattice = Lattice(ORIGIN, (1.0, 1.0, 1.0), (n, n, n), "absorbing")
    mode = np.sin(np.pi * np.arange(1, n + 1) / (n + 1))
    start = mode[:, None, None] * mode[None, :, None] * mode[None, None, :]
    factor = 1 - 3 * d * STEP_S * 4 * math.sin(math.pi / (2 * (n + 1))) ** 2
    field = run(Diffusion(lattice, STEP_S, d, 0.0), start, 100)
    assert field == pytest.approx(start * factor**100, rel=1e-4, abs=1e-6)


def spread_error(cells: int) -> float:
    """Return the greatest error of a Gaussian that has spread, by its greatest value; the domain stays the same."""
    edge, d = 32.0 / cells, 1.0
    lattice = cube(cells, edge)
    step_s = 0.1 * edge**2 / d  # r = 0.1: with the largest, 1/6, errors of time and space partly cancel
    steps = round(4.0 / step_s)
    squares = sum(p**2 for p in axes_of(lattice))

    def gauss(variance: float) -> NDArray[np.float64]:
        return (2 * math.pi * variance) ** -1.5 * np.exp(-squares / (2 * variance))

    field = run(Diffusion(lattice, step_s, d, 0.0), gauss(4.0), steps)
    exact = gauss(4.0 + 2 * d * steps * step_s)
    return float(abs(field - exact).max() / exact.max())


def test_the_error_of_diffusion_falls_with_the_square_of_the_edge() -> None:
    """Halving the edge of the cells divides the error by four: order 2."""
    errors = [spread_error(cells) for cells in (16, 32, 64)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders == pytest.approx([2, 2], abs=0.15), errors


def test_the_error_of_the_gradient_falls_with_the_square_of_the_edge() -> None:
    """Central differences of a wave, order 2."""
    errors = []
    for cells in (16, 32, 64):
        lattice = Lattice(ORIGIN, (2 * math.pi / cells,) * 3, (cells, cells, cells), "periodic")
        x, y, z = axes_of(lattice)
        field, out = lattice.zeros(), np.zeros((3, lattice.nodes), np.float32)
        lattice.inner(field)[:] = np.sin(x) * np.cos(y) * np.sin(z)
        lattice.close(field)
        gradient(field, lattice, out)
        exact = np.cos(x) * np.cos(y) * np.sin(z)
        errors.append(float(abs(lattice.inner(out[0]) - exact).max()))
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders == pytest.approx([2, 2], abs=0.1), errors


def potential_error(cells: int) -> float:
    """Return the greatest error of the potential of a wave of sources, by its greatest value."""
    lattice = Lattice(ORIGIN, (2 * math.pi / cells,) * 3, (cells, cells, cells), "periodic")
    x, y, z = axes_of(lattice)
    wave = np.cos(x) * np.cos(y) * np.cos(z)
    source = lattice.zeros()
    lattice.inner(source)[:] = wave * (1 / 4.0 + 3)  # kappa^2 + 3, with kappa = 1 / 2
    found = relax(lattice.zeros(), source, Screening(lattice, 2.0, 1e-5, 2000))
    return float(abs(lattice.inner(found.potential) - wave).max())


def test_the_error_of_the_potential_falls_with_the_square_of_the_edge() -> None:
    """Halving the edge of the cells divides the error by four: order 2."""
    errors = [potential_error(cells) for cells in (16, 32, 64)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders == pytest.approx([2, 2], abs=0.15), errors


def test_the_potential_of_a_point_is_yukawas() -> None:
    """Near q exp(-kappa r) / (4 pi r): 7 % off three cells from the source, 2 % at six, 1 % at twelve."""
    lattice = cube(61, 1.0, "absorbing")
    source = lattice.zeros()
    lattice.inner(source)[30, 30, 30] = 7.0
    found = relax(lattice.zeros(), source, Screening(lattice, 5.0, 1e-5, 1000))
    field = lattice.inner(found.potential)
    for r, least in ((3, 0.07), (6, 0.02), (12, 0.01)):
        exact = 7.0 * math.exp(-r / 5.0) / (4 * math.pi * r)
        assert field[30, 30, 30 + r] == pytest.approx(exact, rel=least)
        assert field[30 - r, 30, 30] == pytest.approx(exact, rel=least)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_relaxed_to_the_stated_residual(boundary: Boundary) -> None:
    """The residual, computed anew, is what is reported, and within the tolerance; a good start needs no sweep."""
    lattice = Lattice(ORIGIN, (1.0, 2.0, 3.0), (12, 9, 7), boundary)
    source = lattice.zeros()
    lattice.inner(source)[:] = np.random.default_rng(2).random((7, 9, 12))
    screening = Screening(lattice, 4.0, 1e-4)
    found = relax(lattice.zeros(), source, screening)
    phi = found.potential.astype(np.float64)
    lattice.close(phi)
    box, residual = lattice.box(phi), lattice.inner(source).astype(np.float64)
    residual = residual - lattice.inner(phi) / 16.0
    for axis, edge in enumerate(lattice.cell_m):
        moved = [np.moveaxis(box, 2 - axis, 0)[s] for s in (slice(None, -2), slice(1, -1), slice(2, None))]
        others = [np.moveaxis(m, 0, 2 - axis) for m in moved]
        cut = tuple(slice(None) if k == 2 - axis else slice(1, -1) for k in range(3))
        residual += (others[0][cut] - 2 * others[1][cut] + others[2][cut]) / edge**2
    assert abs(residual).max() / source.max() == pytest.approx(found.residual, rel=0.05, abs=2e-6)
    assert found.residual <= 1e-4
    assert relax(found.potential, source, screening).sweeps == 0


def test_chebyshev_spares_sweeps() -> None:
    """Sweeps grow with the reach of the screening, not with its square as Jacobi's own do."""
    lattice = cube(24, 1.0)
    source = lattice.zeros()
    lattice.inner(source)[5, 6, 7] = 1.0
    sweeps = [
        relax(lattice.zeros(), source, Screening(lattice, reach, 1e-4, 2000)).sweeps
        for reach in (2.0, 4.0, 8.0)
    ]
    assert sweeps[2] < 3 * sweeps[1] < 9 * sweeps[0], sweeps


def test_an_unstable_step_is_refused_by_name() -> None:
    """The error says how large the diffusion may be; that one is accepted and stays positive."""
    lattice = Lattice(ORIGIN, (10.0, 10.0, 5.0), (8, 8, 8))
    with pytest.raises(ConfigError, match=r"unstable.*largest stable diffusion is 500 m\^2/s"):
        Diffusion(lattice, 1 / 60, 501.0, 0.0)
    field = run(Diffusion(lattice, 1 / 60, 500.0, 0.0), np.eye(8)[:, :, None] * np.ones(8), 50)
    assert field.min() >= 0


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_marks_add_up_and_are_sensed(boundary: Boundary) -> None:
    """What agents leave is exactly what they left, but for what an absorbing border takes; they sense it there."""
    lattice = Lattice(ORIGIN, (10.0, 10.0, 10.0), (6, 5, 4), boundary)
    rng = np.random.default_rng(3)
    x, y, z = (rng.random((3, 500)) * [[60], [50], [40]]).astype(np.float32)
    found = gather(lattice, x, y, z, level=np.zeros(500, np.uint8), step=np.zeros(500, np.int64), steps=1)
    inside = ((x > 5) & (x < 55) & (y > 5) & (y < 45) & (z > 5) & (z < 35)).sum()
    total = found.units.sum() / UNIT
    assert total == 500 if boundary != "absorbing" else inside < total < 500
    assert found.agents.sum() == 500


def test_what_agents_sense_is_linear_between_nodes() -> None:
    """Value and gradient of a linear field are sensed to rounding: positions are rounded to 256ths of a cell."""
    lattice = Lattice(ORIGIN, (10.0, 10.0, 10.0), (8, 8, 8))
    fields = Fields(FieldConfig(Diffusion(lattice, STEP_S, 1.0, 0.0), Screening(lattice, 20.0)))
    x, y, z = axes_of(lattice)
    fields.layer("pheromone")[:] = 3 * x - 2 * y + z
    state = fields.snapshot()
    fields.restore(state)
    here = (np.random.default_rng(4).random((3, 200)) * 40 + 20).astype(np.float32)
    value, slope = fields.sense(*here)
    assert value == pytest.approx(3 * here[0] - 2 * here[1] + here[2], abs=6 * 10 / 512)
    assert pytest.approx(np.tile([3, -2, 1], (200, 1)), abs=1e-4) == slope.T


def test_a_step_without_marks_needs_no_sweep() -> None:
    """While agents are silent their potential fades with them."""
    lattice = cube(10, 1.0)
    fields = Fields(FieldConfig(Diffusion(lattice, STEP_S, 1.0, 0.1), Screening(lattice, 2.0)))
    at = [np.array([0.3], np.float32)] * 3
    left = gather(lattice, *at, level=np.array([2], np.uint8), step=np.zeros(1, np.int64), steps=1)
    fields.step(left)
    first, before = fields.relaxed.sweeps, fields.layer("potential").copy()
    fields.step(Deposits(*[np.empty(0, np.int64)] * 4))
    assert (first > 0, fields.relaxed.sweeps) == (True, 0)
    assert fields.layer("potential") == pytest.approx(before * math.exp(-0.1), rel=1e-6)
