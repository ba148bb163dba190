"""What a shard can say of its agents at the end of a tick: who is near, order of the groups, nearest others.

All of it follows from the rows of the agents in the shard and of the copies around it, by integers, or by float32
arithmetic element by element, and so does not depend on how the world is divided. A group is the agents of one level
in one region.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.agent_rows import Rows
from kernels.backend import Backend
from kernels.consensus import Ballot
from kernels.group import group
from kernels.headings import (
    DIRECTIONS,
    SECTORS,
    directions,
    mean_heading,
    polarisation,
    sectors,
    vectors,
)
from kernels.metric import Metric
from kernels.neighbourhood import CellList, Nearest
from kernels.patches import Patches
from kernels.schema import MAX_LEVEL

__all__ = ["AgentView", "Around"]

_LEVELS = MAX_LEVEL + 1


@dataclass(frozen=True)
class Around:
    """What is near each of M agents.

    Attributes
    ----------
    near
        (M,) int32 agents in the cells around it, itself included.
    density
        (M,) float32 those by the volume of these cells, agents per cubic metre.
    heading_rad
        (M,) float32 their mean heading, NaN where none has one.
    """

    near: NDArray[np.int32]
    density: NDArray[np.float32]
    heading_rad: NDArray[np.float32]


class AgentView:
    """The agents of a shard at one moment.

    Parameters
    ----------
    table
        Rows by agent: those in the shard and copies.
    own
        (N,) which of them are in the shard.
    patches
        How space is divided.
    """

    def __init__(self, table: Rows, own: NDArray[np.bool_], patches: Patches) -> None:
        self._patches, self._table = patches, table
        self.whole = bool(own.all())
        self.numbers = np.flatnonzero(own)
        self.rows = table if self.whole else table.take(self.numbers)
        self.direction = directions(_column(table, "heading_rad"))
        self._listed = CellList(np.ascontiguousarray(table["cell"]), patches.grid.shape)

    def around(self) -> Around:
        """Return what is near each agent of the shard."""
        listed, edges_m = self._listed, self._patches.grid.cell_m
        headed = self.direction < DIRECTIONS
        ones = np.ones(len(headed), np.int64)
        near, n, x, y = listed.around([ones, headed, *vectors(self.direction)])
        volume_m3 = listed.volume() * (edges_m[0] * edges_m[1] * edges_m[2])
        cell = listed.cell_number if self.whole else listed.cell_number[self.numbers]
        return Around(
            near.astype(np.int32)[cell],
            (near / volume_m3).astype(np.float32)[cell],
            mean_heading(n, x, y)[cell],
        )

    def nearest(self, *, k: int, radius_m: float) -> Nearest:
        """Return the k nearest others of each agent of the shard within a radius, copies among them."""
        position = tuple(np.ascontiguousarray(self._table[axis]) for axis in ("x_m", "y_m", "z_m"))
        return self._listed.nearest(position, self.numbers, k=k, radius_m=radius_m)

    def groups(self, metric: Metric | None, backend: Backend) -> dict[str, NDArray[Any]]:
        """Return a row for each region and level that has agents here: their number, order and consensus.

        Parameters
        ----------
        metric
            Of which the group's mean is taken; None or not among the columns: of none.
        backend
            Who counts.
        """
        rows, patches = self.rows, self._patches
        direction = self.direction if self.whole else self.direction[self.numbers]
        key = patches.region_of[rows["cell"]] * np.int32(_LEVELS) + rows["level"]
        keys, of = group(key, patches.regions.size * _LEVELS)
        region, level = np.divmod(keys, _LEVELS)
        sums = _Sums(of, len(keys))
        headed = sums.of(direction < DIRECTIONS)
        x, y = (sums.of(part) for part in vectors(direction))
        twice = np.where(direction < DIRECTIONS, direction * 2 % DIRECTIONS, DIRECTIONS)
        x2, y2 = (sums.of(part) for part in vectors(twice))
        measured = metric if metric is not None and metric.name in (rows.dtype.names or ()) else None
        values = _column(rows, measured.name if measured is not None else "")
        ballot = Ballot(of, len(keys), values, sectors(direction), SECTORS)
        agreed = backend.consensus(ballot, measured or _NOTHING)
        cx, cy, cz = patches.regions.unravel(region.astype(np.int32))
        return {
            "cx": cx, "cy": cy, "cz": cz, "level": level.astype(np.uint8),
            "agents": np.bincount(of, minlength=len(keys)),
            "headed": headed,
            "polarisation": polarisation(headed, x, y), "nematic": polarisation(headed, x2, y2),
            "heading_rad": mean_heading(headed, x, y),
            "value_count": agreed.n, "value_mean": agreed.mean(measured or _NOTHING),
            "sector": agreed.choice, "support": agreed.support,
        }  # fmt: skip


_NOTHING = Metric("none", 1.0, 0.0, 1.0)


class _Sums:
    """Sums of integers by group."""

    def __init__(self, of: NDArray[np.int32], size: int) -> None:
        self._of, self._size = of.astype(np.intp), size

    def of(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return the (G,) sums of (M,) values."""
        total = np.zeros(self._size, np.int64)
        np.add.at(total, self._of, values.astype(np.int64, copy=False))
        return total


def _column(rows: Rows, name: str) -> NDArray[np.float32]:
    """Return a column, or NaN where the rows have none of that name."""
    if name in (rows.dtype.names or ()):
        return np.ascontiguousarray(rows[name])
    return np.full(len(rows), np.nan, np.float32)
