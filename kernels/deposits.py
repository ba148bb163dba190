"""What a batch of agents leaves in the fields, step by step, added up as integers: shipped instead of the events."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.group import group
from kernels.lattice import Lattice
from kernels.schema import MAX_LEVEL
from kernels.trilinear import corners, places

__all__ = ["LEVELS", "Deposits", "gather", "merge"]

LEVELS = MAX_LEVEL + 1
Ints = NDArray[np.int64]

_CHUNK = 4096  # positions: eight nodes of each, with their weights, take 512 KiB
_DENSE = 16  # a table of all keys while it has at most 16 entries for each addition: clearing and reading it is a scan


class Deposits(NamedTuple):
    """Marks of one step, or of many.

    Attributes
    ----------
    node, units
        (K,) int64 distinct nodes of the lattice's line, rising, none outside; what was left on each, of which
        `trilinear.UNIT` is one agent's mark. Of many steps: step * P + node.
    mark, agents
        (M,) int64 distinct level * C + cell, rising, with cells numbered as in (nz, ny, nx); how many agents of that
        level reported there. Of many steps: (step * LEVELS + level) * C + cell.
    """

    node: Ints
    units: Ints
    mark: Ints
    agents: Ints


def gather(
    lattice: Lattice,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    z: NDArray[np.float32],
    *,
    level: NDArray[np.uint8],
    step: Ints,
    steps: int,
) -> Deposits:
    """Add up the marks of N agents.

    Parameters
    ----------
    x, y, z
        (N,) metres.
    level
        (N,) in [0, LEVELS).
    step, steps
        (N,) which of `steps` steps each is in, from 0.

    Examples
    --------
    >>> lattice = Lattice((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (4, 1, 1))
    >>> x, y = (np.array([p, p], "f4") for p in (20.0, 5.0))
    >>> level, step = np.array([0, 0], "u1"), np.array([0, 0])
    >>> found = gather(lattice, x, y, y, level=level, step=step, steps=1)
    >>> (found.units / 2**24).tolist(), found.mark.tolist(), found.agents.tolist()
    ([1.0, 1.0], [2], [2])
    """
    nodes, cells = lattice.nodes, lattice.size
    left = _Sums(steps * nodes, 8 * len(x))
    seen = _Sums(steps * LEVELS * cells, len(x))
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        found = places(lattice, x[part], y[part], z[part])
        node, units = corners(lattice, found)
        node += step[part] * nodes
        left.add(node.ravel(), units.ravel())
        mark = step[part] * LEVELS
        mark += level[part]
        mark *= cells
        mark += found.cell
        seen.add(mark, np.ones(len(mark), np.int64))
    return Deposits(*_inside(lattice, *left.found()), *seen.found())


def merge(parts: list[Deposits], lattice: Lattice) -> Deposits:
    """Add up deposits of one step.

    >>> one = Deposits(*(np.array([k]) for k in (31, 5, 0, 1)))
    >>> merge([one, one], Lattice((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2, 2, 2))).units.tolist()
    [10]
    """
    if len(parts) == 1:
        return parts[0]
    node, units, mark, agents = (_joined([part[i] for part in parts]) for i in range(4))
    left, seen = _Sums(lattice.nodes, len(node)), _Sums(LEVELS * lattice.size, len(mark))
    left.add(node, units)
    seen.add(mark, agents)
    return Deposits(*left.found(), *seen.found())


class _Sums:
    """Sums by key below a bound: in a table of all keys, or of the keys gathered, whichever costs less."""

    def __init__(self, bound: int, additions: int) -> None:
        self._bound = bound
        self._table = np.zeros(bound, np.int64) if bound <= _DENSE * additions else None
        self._parts: list[tuple[Ints, Ints]] = []

    def add(self, key: Ints, values: Ints) -> None:
        """Add (K,) values."""
        if self._table is not None:
            np.add.at(self._table, key, values)
        else:
            self._parts.append((key, values))

    def found(self) -> tuple[Ints, Ints]:
        """Return the keys whose sum is not 0, rising, and the sums."""
        if self._table is not None:
            keys = np.flatnonzero(self._table)
            return keys, self._table[keys]
        key, values = (_joined([part[i] for part in self._parts]) for i in range(2))
        keys, inverse = group(key, self._bound)
        sums = np.zeros(len(keys), np.int64)
        np.add.at(sums, inverse.astype(np.intp), values)
        kept = sums != 0
        return keys[kept], sums[kept]


def _inside(lattice: Lattice, key: Ints, units: Ints) -> tuple[Ints, Ints]:
    """Move what is outside to the nodes that it stands for."""
    step, node = np.divmod(key, lattice.nodes)
    image = lattice.images[node]
    if np.array_equal(image, node):
        return key, units
    kept = image > 0
    moved = _Sums((int(step[-1]) + 1) * lattice.nodes, len(key))
    moved.add((step * lattice.nodes + image)[kept], units[kept])
    return moved.found()


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
