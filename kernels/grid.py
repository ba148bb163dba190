"""The grid over the world: position -> cell, and the Morton order in which cells are dealt to shards.

cell = min(trunc((p - min_m) * (1 / cell_m)), n - 1) on each axis, every step rounded to float32 on its own (no
fused multiply-add), so that numpy, ONNX Runtime and a GPU agree to the bit. Cells are numbered row by row:
index = (cx * ny + cy) * nz + cz.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kernels import morton
from kernels.errors import ConfigError

__all__ = ["Grid"]

Triple = tuple[float, float, float]

# 32k events: scratch of 128 KiB an array stays in the second-level cache. Measured for 64 x 64 cells and batches of
# 64k, ns an event: 8k 1.9, 16k 1.6, 32k 1.3, whole batch 2.6 (then with a minimum per axis instead of a look).
_CHUNK = 32_768
_FAR_M = 1e12  # beyond any world; keeps the corners finite in float32


@dataclass(frozen=True)
class Grid:
    """A box of equal cells; every cell holds its lower edge, the last one also the upper edge of the box.

    Parameters
    ----------
    min_m
        Lower corner, metres.
    cell_m
        Edge lengths of a cell, metres.
    shape
        Cells along x, y, z; at most 2**21 an axis (Morton codes) and fewer than 2**31 in all (int32 indices).

    Raises
    ------
    ConfigError
        If a number is not finite, a cell is too small for float32 positions, or there are too many cells.

    Examples
    --------
    >>> grid = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 1000.0), (4, 4, 1))
    >>> x = np.array([0.0, 39.0, 40.0], "f4")
    >>> grid.cells(x, x, x).tolist()
    [0, 15, 15]
    """

    min_m: Triple
    cell_m: Triple
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        for name, value in (("min_m", self.min_m), ("cell_m", self.cell_m)):
            if not all(abs(metres) < _FAR_M for metres in value):  # False for NaN
                raise ConfigError(f"grid {name}: expected three numbers below {_FAR_M} m, got {value!r}")
        if min(self.cell_m) <= 0:
            raise ConfigError(f"grid cell_m: expected edges above 0 m, got {self.cell_m!r}")
        if not all(1 <= n <= 1 << morton.AXIS_BITS for n in self.shape):
            raise ConfigError(f"grid shape: expected three counts from 1 to 2**21, got {self.shape!r}")
        if self.size >= 1 << 31:
            raise ConfigError(f"grid shape: expected under 2**31 cells, got {self.size}", "Use larger cells.")
        self._check_float32()

    @property
    def size(self) -> int:
        """Number of cells C."""
        return math.prod(self.shape)

    @cached_property
    def upper_m(self) -> Triple:
        """Upper corner, metres, as float32 rounds it."""
        (x, y, z), (dx, dy, dz), (nx, ny, nz) = self.min_m, self.cell_m, self.shape
        return float(np.float32(x + nx * dx)), float(np.float32(y + ny * dy)), float(np.float32(z + nz * dz))

    def inside(
        self, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
    ) -> NDArray[np.bool_] | None:
        """Say which positions (N,) lie in the box, both edges included; None if all do. NaN lies outside."""
        if not len(x) or all(
            np.min(p) >= np.float32(low) and np.max(p) <= high  # False for NaN too
            for p, low, high in zip((x, y, z), self.min_m, self.upper_m, strict=True)
        ):
            return None
        mask = np.ones(len(x), np.bool_)
        for p, low, high in zip((x, y, z), self.min_m, self.upper_m, strict=True):
            mask &= (p >= np.float32(low)) & (p <= np.float32(high))
        return mask

    def cells(
        self, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
    ) -> NDArray[np.int32]:
        """Return the cell of every position.

        Parameters
        ----------
        x, y, z
            (N,) float32 metres, inside the box (see `inside`); `z` is not read if the grid has one layer.

        Returns
        -------
        (N,) int32 row-major cell indices in [0, C).
        """
        out = np.empty(len(x), np.int32)
        chunk = min(_CHUNK, len(x))
        scratch = np.empty(chunk, np.float32), np.empty(chunk, np.int32)
        inner = [(axis, p) for axis, p in ((1, y), (2, z)) if self.shape[axis] > 1]
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            index = out[part]
            metres, coordinate = scratch[0][: len(index)], scratch[1][: len(index)]
            self._coordinate(x[part], 0, metres, index)
            for axis, p in inner:
                np.multiply(index, self.shape[axis], out=index)
                self._coordinate(p[part], axis, metres, coordinate)
                np.add(index, coordinate, out=index)
        return out

    def unravel(
        self, cells: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Split cell indices into coordinates cx, cy, cz (int32, same shape)."""
        row, cz = np.divmod(cells, np.int32(self.shape[2]))
        cx, cy = np.divmod(row, np.int32(self.shape[1]))
        return cx.astype(np.int32), cy.astype(np.int32), cz.astype(np.int32)

    @cached_property
    def morton_order(self) -> NDArray[np.int32]:
        """(C,) row-major cell indices, sorted by Morton code: the cell at each rank. Read-only."""
        codes = morton.encode(*self.unravel(np.arange(self.size, dtype=np.int32)))
        order = np.argsort(codes).astype(np.int32)
        order.setflags(write=False)
        return order

    @cached_property
    def morton_rank(self) -> NDArray[np.int32]:
        """(C,) rank of each cell in Morton order: the inverse of `morton_order`. Read-only."""
        rank = np.empty(self.size, np.int32)
        rank[self.morton_order] = np.arange(self.size, dtype=np.int32)
        rank.setflags(write=False)
        return rank

    @cached_property
    def block_of_rank(self) -> NDArray[np.int32]:
        """(C,) number of the block of 2 x 2 x 2 cells that each rank belongs to; a block's ranks lie side by side. Read-only."""
        codes = morton.encode(*self.unravel(self.morton_order)) >> np.uint64(3)
        blocks = np.zeros(self.size, np.int32)
        np.cumsum(codes[1:] != codes[:-1], out=blocks[1:])
        blocks.setflags(write=False)
        return blocks

    @cached_property
    def constants(self) -> tuple[tuple[np.float32, np.float32, np.int32], ...]:
        """Lower edge, inverse cell edge (float32) and last coordinate of each axis: all that `cells` needs."""
        return tuple(
            (np.float32(low), np.float32(1.0 / edge), np.int32(n - 1))
            for low, edge, n in zip(self.min_m, self.cell_m, self.shape, strict=True)
        )

    def _coordinate(
        self, p: NDArray[np.float32], axis: int, metres: NDArray[np.float32], out: NDArray[np.int32]
    ) -> None:
        low, inverse, last = self.constants[axis]
        np.subtract(p, low, out=metres)
        np.multiply(metres, inverse, out=metres)
        np.copyto(out, metres, casting="unsafe")  # truncates
        if out.max() > last:  # at the upper edge; looking for it costs a third of a minimum with a scalar
            np.minimum(out, last, out=out)

    def _check_float32(self) -> None:
        """Refuse a box that float32 cannot hold, and cells finer than its positions."""
        for low, high, edge in zip(self.min_m, self.upper_m, self.cell_m, strict=True):
            spacing = float(np.spacing(np.float32(max(abs(low), abs(high)))))
            if edge <= spacing:
                raise ConfigError(
                    f"grid cell_m: float32 positions up to {high} m are {spacing:.3g} m apart, got cells of {edge} m",
                    "Move the origin nearer or use larger cells.",
                )
