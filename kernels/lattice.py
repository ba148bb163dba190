"""The lattice of a field: nodes in the middle of cells, with one layer of cells outside that stands for the border.

An array of a field is (nz + 2, ny + 2, nx + 2), x running fastest; its first and last planes on each axis are outside.
What they hold makes the border, so that a stencil needs no cases, and runs over the array as one line of numbers:

    reflecting    the outside is the mirror image: nothing flows through the border
    absorbing     the outside is empty and stays so: what flows there is gone
    periodic      the outside is the other end: what flows out comes in there
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError

__all__ = ["BOUNDARIES", "Boundary", "Lattice", "Line"]

Boundary = Literal["reflecting", "absorbing", "periodic"]
BOUNDARIES: tuple[Boundary, ...] = get_args(Boundary)

Line = NDArray[np.float32]
"""A field with its outside, as one line: (P,)."""

_MOST_NODES = 1 << 31


@dataclass(frozen=True)
class Lattice:
    """A box of nodes.

    Parameters
    ----------
    min_m
        Lower corner (x, y, z) of the box, metres.
    cell_m
        Edges of a cell along x, y, z, metres; a node is in the middle of its cell.
    shape
        Cells along x, y, z.
    boundary
        What the border does.

    Raises
    ------
    ConfigError
        An edge is not above 0, a count below 1, the boundary unknown, or there are too many nodes.

    Examples
    --------
    >>> lattice = Lattice((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (3, 2, 1), "periodic")
    >>> line = lattice.zeros()
    >>> lattice.inner(line)[0, 1] = 1, 2, 3
    >>> lattice.close(line)
    >>> lattice.box(line)[1, 2].tolist()
    [3.0, 1.0, 2.0, 3.0, 1.0]
    """

    min_m: tuple[float, float, float]
    cell_m: tuple[float, float, float]
    shape: tuple[int, int, int]
    boundary: Boundary = "reflecting"

    def __post_init__(self) -> None:
        if not all(math.isfinite(edge) and edge > 0 for edge in self.cell_m):
            raise ConfigError(f"field: expected three cell edges above 0 m, got {self.cell_m!r}")
        if not all(n >= 1 for n in self.shape):
            raise ConfigError(f"field: expected three counts of cells from 1, got {self.shape!r}")
        if self.nodes >= _MOST_NODES:
            raise ConfigError(f"field: expected under 2**31 nodes, got {self.nodes}", "Use larger cells")
        if self.boundary not in BOUNDARIES:
            raise ConfigError(
                f"field boundary: expected one of {', '.join(BOUNDARIES)}, got {self.boundary!r}"
            )

    @property
    def size(self) -> int:
        """Number of cells C."""
        return math.prod(self.shape)

    @property
    def padded(self) -> tuple[int, int, int]:
        """Nodes along z, y, x with the outside."""
        nx, ny, nz = self.shape
        return nz + 2, ny + 2, nx + 2

    @property
    def nodes(self) -> int:
        """Number of nodes P with the outside."""
        return math.prod(self.padded)

    @property
    def strides(self) -> tuple[int, int, int]:
        """How far apart in a line the neighbours along x, y, z are."""
        _, ny, nx = self.padded
        return 1, nx, nx * ny

    @cached_property
    def core(self) -> slice:
        """The part of a line whose neighbours are all in the line; every cell is in it."""
        reach = sum(self.strides)
        return slice(reach, self.nodes - reach)

    @cached_property
    def inside(self) -> Line:
        """(P,) 1 at the cells, 0 outside. Read-only."""
        line = self.zeros()
        self.inner(line)[:] = 1
        line.setflags(write=False)
        return line

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """(P,) where what is put on a node belongs: itself, or for one outside the node that it stands for.

        0, which is outside, where the border absorbs it. Read-only.
        """
        line = np.arange(self.nodes)
        self.close(line)
        line.setflags(write=False)
        return line

    def zeros(self) -> Line:
        """Return an empty field."""
        return np.zeros(self.nodes, np.float32)

    def box(self, line: NDArray[Any]) -> NDArray[Any]:
        """Return a line as (nz + 2, ny + 2, nx + 2), a view."""
        return line.reshape(self.padded)

    def inner(self, line: NDArray[Any]) -> NDArray[Any]:
        """Return the cells of a line as (nz, ny, nx), a view."""
        return self.box(line)[1:-1, 1:-1, 1:-1]

    def close(self, line: NDArray[Any]) -> None:
        """Give the outside what the boundary says, in place."""
        box = self.box(line)
        for ends in (box, box.transpose(1, 0, 2), box.transpose(2, 0, 1)):  # z, y, x to the front
            if self.boundary == "absorbing":
                ends[0] = ends[-1] = 0
            elif self.boundary == "reflecting":
                ends[0], ends[-1] = ends[1], ends[-2]
            else:
                ends[0], ends[-1] = ends[-2], ends[1]

    def close_component(self, line: Line, axis: int) -> None:
        """Give the outside of the component of a gradient along `axis` (x, y, z) what the boundary says, in place.

        At a border that reflects, the component that points outwards changes its sign; at one that absorbs, a gradient
        is taken to go on as it is.
        """
        around = self if self.boundary == "periodic" else replace(self, boundary="reflecting")
        around.close(line)
        if self.boundary == "reflecting":
            ends = np.moveaxis(self.box(line), 2 - axis, 0)
            ends[0] *= -1
            ends[-1] *= -1
