"""Between positions and the nodes of a lattice: an agent leaves its mark on eight nodes, and senses eight.

Where an agent is between two nodes is a whole number of 256ths of a cell on each axis, so its eight weights are whole
numbers of 2^-24 whose sum is exactly 2^24. Marks therefore add up as integers: their order cannot change a bit, and what
is deposited is what was left, to the last unit.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.lattice import Lattice, Line

__all__ = ["UNIT", "Places", "corners", "places", "sense", "sense_gradient"]

_PART_BITS = 8
_PARTS = 1 << _PART_BITS
UNIT = _PARTS**3
"""The eight weights of a position add up to this. 2^39 marks fit an int64."""

Floats = NDArray[np.float32]


class Places(NamedTuple):
    """Where N positions are in a lattice.

    Attributes
    ----------
    cell
        (N,) int64, the cell that each is in, numbered as in (nz, ny, nx).
    node
        (N,) int64, the node next below on every axis, in the line of the lattice; it may be outside.
    part
        (3, N) int64, how far beyond it along x, y, z, in 256ths of a cell.
    """

    cell: NDArray[np.int64]
    node: NDArray[np.int64]
    part: NDArray[np.int64]


def places(lattice: Lattice, x: Floats, y: Floats, z: Floats) -> Places:
    """Locate positions, each rounded to 256ths of a cell.

    Parameters
    ----------
    x, y, z
        (N,) metres, finite; one beyond the box is taken to be at its edge.

    Examples
    --------
    >>> lattice = Lattice((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (4, 1, 1))
    >>> found = places(lattice, *(np.array([p], "f4") for p in (17.5, 5.0, 5.0)))
    >>> lattice.box(np.arange(lattice.nodes))[1, 1, 2] == found.node[0], found.part[0].tolist(), found.cell.tolist()
    (np.True_, [64], [1])
    """
    cell, node = np.zeros((2, len(x)), np.int64)
    part = np.empty((3, len(x)), np.int64)
    nx, ny, _ = lattice.shape
    for axis, (p, row) in enumerate(zip((x, y, z), (1, nx, nx * ny), strict=True)):
        last = lattice.shape[axis] - 1
        steps = p.astype(np.float64)
        steps -= lattice.min_m[axis]
        steps *= _PARTS / lattice.cell_m[axis]
        np.clip(steps, 0, (last + 1) * _PARTS, out=steps)
        fine = np.rint(steps, out=steps).astype(np.int64)
        cell += np.minimum(fine >> _PART_BITS, last) * row
        fine += _PARTS // 2  # counted from the node outside: the first node is half a cell inside
        np.bitwise_and(fine, _PARTS - 1, out=part[axis])
        fine >>= _PART_BITS
        fine *= lattice.strides[axis]
        node += fine
    return Places(cell, node, part)


def corners(lattice: Lattice, found: Places) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the eight nodes around each of N places, and their weights in units of 1 / UNIT: (8, N) int64 each.

    Nodes may be outside.
    """
    nodes = np.empty((8, len(found.node)), np.int64)
    units = np.empty_like(nodes)
    sx, sy, sz = lattice.strides
    upper = found.part
    lower = _PARTS - upper
    sides = ((lower, 0), (upper, 1))
    corner = 0
    for along_z, k in sides:
        for along_y, j in sides:
            face = along_z[2] * along_y[1]
            for along_x, i in sides:
                np.add(found.node, k * sz + j * sy + i * sx, out=nodes[corner])
                np.multiply(face, along_x[0], out=units[corner])
                corner += 1
    return nodes, units


def sense(lattice: Lattice, line: Line, found: Places) -> Floats:
    """Return the value of a field at N places, (N,) float32: the weighted mean of eight nodes.

    `line` must be closed (`Lattice.close`).
    """
    nodes, units = corners(lattice, found)
    value = np.zeros(len(found.node), np.float64)
    for node, unit in zip(nodes, units, strict=True):
        value += line[node] * unit.astype(np.float64)
    value *= 1 / UNIT
    return value.astype(np.float32)


def sense_gradient(lattice: Lattice, gradient: NDArray[np.float32], found: Places) -> Floats:
    """Return the gradient at N places, (3, N) float32: x, y, z; `gradient` is (3, P)."""
    return np.stack([sense(lattice, line, found) for line in gradient])
