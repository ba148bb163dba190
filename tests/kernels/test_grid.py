import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import morton
from kernels.errors import ConfigError
from kernels.grid import Grid

Positions = NDArray[np.float32]


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Grids of 1 to 3 dimensions, also far from the origin."""
    metres = st.integers(-1000, 1000).map(lambda k: k * 0.7)
    edge = st.sampled_from([0.3, 1.0, 12.5, 100.0])
    count = st.sampled_from([1, 2, 5, 16])
    return Grid(*(draw(st.tuples(each, each, each)) for each in (metres, edge, count)))


@st.composite
def positions_in(draw: st.DrawFn, grid: Grid) -> tuple[Positions, Positions, Positions]:
    """Positions in the box of a grid, its edges and the neighbours of its cells' edges among them."""
    shares = st.lists(
        st.tuples(*[st.floats(0, 1)] * 3) | st.sampled_from([(0, 0, 0), (1, 1, 1), (0.5, 0, 1)])
    )
    points = np.array(draw(shares), np.float64).reshape(-1, 3)
    low, high = np.array(grid.min_m, np.float32), np.array(grid.upper_m, np.float32)
    x, y, z = np.clip((low + points * (high - low)).astype(np.float32), low, high).T
    return np.ascontiguousarray(x), np.ascontiguousarray(y), np.ascontiguousarray(z)


def cell_of(grid: Grid, point: tuple[np.float32, ...]) -> int:
    """The cell of one position, a step at a time."""
    index = 0
    for p, low, edge, n in zip(point, grid.min_m, grid.cell_m, grid.shape, strict=True):
        steps = (p - np.float32(low)) * np.float32(1 / edge)
        index = index * n + min(math.trunc(float(steps)), n - 1)
    return index


@given(st.data())
def test_cells_follow_the_formula(data: st.DataObject) -> None:
    """Every position in the box gets the cell of the scalar formula, also on edges."""
    grid = data.draw(grids())
    x, y, z = data.draw(positions_in(grid))
    assert grid.inside(x, y, z) is None
    cells = grid.cells(x, y, z)
    assert cells.dtype == np.int32
    assert cells.tolist() == [cell_of(grid, point) for point in zip(x, y, z, strict=True)]


def test_cells_do_not_depend_on_chunks() -> None:
    """A batch longer than a chunk gets the same cells as its halves."""
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (50, 60, 7))
    rng = np.random.default_rng(1)
    x, y, z = (rng.uniform(0, n, 70_001).astype("f4") for n in grid.shape)
    halves = [grid.cells(x[part], y[part], z[part]) for part in (slice(35_000), slice(35_000, None))]
    assert np.array_equal(grid.cells(x, y, z), np.concatenate(halves))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.5, 30.5])
def test_inside_finds_what_lies_outside(bad: float) -> None:
    """NaN, infinities and positions beyond an edge are outside, on every axis; the edges are inside."""
    grid = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 30.0), (3, 3, 1))
    good = np.array([0.0, 30.0, 15.0], "f4")
    wrong = np.array([0.0, bad, 15.0], "f4")
    for axes in ((wrong, good, good), (good, wrong, good), (good, good, wrong)):
        mask = grid.inside(*axes)
        assert mask is not None
        assert mask.tolist() == [True, False, True]


def test_the_upper_edge_belongs_to_the_last_cell() -> None:
    """A position on the upper corner, or rounded up to it, lies in the last cell."""
    grid = Grid((-500.0, -500.0, 0.0), (1000 / 64, 1000 / 64, 10.0), (64, 64, 2))
    corner = [np.array([np.nextafter(np.float32(u), np.float32(-np.inf)), u], "f4") for u in grid.upper_m]
    assert grid.cells(*corner).tolist() == [grid.size - 1] * 2


def test_no_events_have_no_cells() -> None:
    """An empty batch is inside and gives an empty array."""
    empty = np.empty(0, "f4")
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2, 2, 2))
    assert grid.inside(empty, empty, empty) is None
    assert grid.cells(empty, empty, empty).shape == (0,)


@given(grids())
def test_unravel_undoes_the_index(grid: Grid) -> None:
    """The coordinates of a cell index give that index again, and lie in the grid."""
    cells = np.arange(grid.size, dtype=np.int32)
    cx, cy, cz = grid.unravel(cells)
    assert cx.dtype == cy.dtype == cz.dtype == np.int32
    assert np.array_equal((cx * grid.shape[1] + cy) * grid.shape[2] + cz, cells)
    assert all(axis.max() == n - 1 for axis, n in zip((cx, cy, cz), grid.shape, strict=True))


@given(grids())
def test_morton_order_and_rank_are_inverse(grid: Grid) -> None:
    """Cells in Morton order have rising codes, and the rank of a cell is its place in that order."""
    codes = morton.encode(*grid.unravel(grid.morton_order))
    assert (np.diff(codes.astype(np.int64)) > 0).all()
    assert np.array_equal(grid.morton_rank[grid.morton_order], np.arange(grid.size))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"min_m": (0.0, math.nan, 0.0)}, "min_m"),
        ({"cell_m": (1.0, 0.0, 1.0)}, "cell_m"),
        ({"cell_m": (1.0, math.inf, 1.0)}, "cell_m"),
        ({"shape": (0, 1, 1)}, "shape"),
        ({"shape": (2**21 + 1, 1, 1)}, "shape"),
        ({"shape": (2**11, 2**10, 2**10)}, "2147483648"),
        ({"min_m": (1e9, 0.0, 0.0)}, "64 m apart"),
        ({"min_m": (3e38, 0.0, 0.0), "cell_m": (1e38, 1.0, 1.0)}, "min_m"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(wrong: dict[str, Any], word: str) -> None:
    """Numbers that are not finite, no cells, too many or too fine ones are an error that names them."""
    fields: dict[str, Any] = {"min_m": (0.0, 0.0, 0.0), "cell_m": (1.0, 1.0, 1.0), "shape": (4, 4, 4)}
    with pytest.raises(ConfigError, match=word):
        Grid(**(fields | wrong))
