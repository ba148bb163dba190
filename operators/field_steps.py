"""The fields as a step of the flow: batches to deposits, deposits to steps of the layers, steps to results."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.deposits import LEVELS, Deposits, gather, merge
from kernels.fields import FieldConfig, FieldForm, Fields
from kernels.lattice import Lattice
from operators.batch import Batch, take
from operators.recurrence import Part
from operators.result import Result
from operators.ticks import in_time, numbered
from operators.watermarks import Told, tell

__all__ = ["BLOCK_CELLS", "FieldDeposits", "FieldMachine"]

BLOCK_CELLS = 65_536
"""Cells of a result: with ten columns 3 MB, below what a record may hold."""

_FAINTEST = 1e-6  # marks: a cell whose pheromone is below is left out of the results
_NONE = Deposits(*(np.empty(0, np.int64) for _ in range(4)))


class FieldDeposits:
    """The step `batch -> what it leaves in the fields`, for the one key of the fields.

    Parameters
    ----------
    lattice
        Where the fields are; agents outside leave nothing.
    step_us, lateness_us
        Length of a step, and how much later it is taken.
    """

    def __init__(self, lattice: Lattice, step_us: int, lateness_us: int) -> None:
        self._lattice, self._step_us, self._lateness_us = lattice, step_us, lateness_us

    def __call__(self, batch: Batch) -> Iterator[tuple[str, Told]]:
        """Return what `batch` tells the fields."""
        left = self._gather(batch) if len(batch) else {}
        yield from tell(batch, [left], tick_us=self._step_us, lateness_us=self._lateness_us)

    def _gather(self, batch: Batch) -> dict[str, NDArray[np.int64]]:
        columns = in_time(batch, self._lateness_us)
        outside = self._outside(columns)
        if outside is not None:
            columns = take(columns, ~outside)
        time_us = columns["time_us"]
        if not len(time_us):
            return {}
        steps, number = numbered(time_us, self._step_us)
        level = columns.get("level")
        found = gather(
            self._lattice,
            *(columns[axis] for axis in ("x_m", "y_m", "z_m")),
            level=np.zeros(len(time_us), np.uint8) if level is None else level,
            step=number,
            steps=len(steps),
        )
        return {"steps": steps, **found._asdict()}

    def _outside(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_] | None:
        """Say which events are outside of the lattice; None if none is."""
        lattice, found = self._lattice, None
        for axis, name in enumerate(("x_m", "y_m", "z_m")):
            low = lattice.min_m[axis]
            high = low + lattice.cell_m[axis] * lattice.shape[axis]
            p = columns[name]
            if len(p) and (p.min() < low or p.max() > high):
                out = (p < low) | (p > high)
                found = out if found is None else found | out
        return found


class FieldMachine:
    """The fields as `operators.recurrence` moves them on.

    Parameters
    ----------
    config, form
        As of `kernels.fields.Fields`.
    """

    def __init__(self, config: FieldConfig, form: FieldForm) -> None:
        self._config, self._form = config, form
        self.fields = Fields(config, form)

    def parts(self, told: Told) -> Iterator[tuple[int, Part]]:
        """Split deposits by step."""
        columns, lattice = told.columns, self._config.lattice
        if not columns:
            return
        steps = columns["steps"]
        edges = np.arange(len(steps) + 1)
        nodes = np.searchsorted(columns["node"], edges * lattice.nodes)
        marks = np.searchsorted(columns["mark"], edges * (LEVELS * lattice.size))
        for k, step in enumerate(steps.tolist()):
            node, mark = slice(*nodes[k : k + 2]), slice(*marks[k : k + 2])
            if mark.stop > mark.start:
                yield (
                    step,
                    {
                        "node": columns["node"][node] - k * lattice.nodes,
                        "units": columns["units"][node],
                        "mark": columns["mark"][mark] - k * LEVELS * lattice.size,
                        "agents": columns["agents"][mark],
                    },
                )

    def step(self, parts: Sequence[Part]) -> None:
        """Move the layers on by one step."""
        deposits = [Deposits(**part) for part in parts]
        self.fields.step(merge(deposits, self._config.lattice) if deposits else _NONE)

    def results(self, time_us: int) -> list[Result]:
        """Return the layers as they are: a result for each block of cells, with rows where there is something."""
        columns = self._columns()
        size, found = self._config.lattice.size, []
        for block, start in enumerate(range(0, size, BLOCK_CELLS)):
            rows = slice(start, start + BLOCK_CELLS)
            kept = np.flatnonzero(columns["pheromone"][rows] >= _FAINTEST)
            own = {name: values[rows][kept] for name, values in columns.items()}
            own = {"time_us": np.full(len(kept), time_us), **own}
            found.append(Result("fields", f"{time_us}/{block}", own))
        return found

    def _columns(self) -> dict[str, NDArray[Any]]:
        fields = self.fields
        nx, ny, nz = self._config.lattice.shape
        cz, cy, cx = (index.reshape(-1) for index in np.indices((nz, ny, nx), np.int32))
        layers = {"pheromone": fields.layer("pheromone")}
        layers |= zip(("gradient_x", "gradient_y", "gradient_z"), fields.layer("gradient"), strict=True)
        layers |= {name: fields.layer(name) for name in ("potential", "information")}
        return {"cx": cx, "cy": cy, "cz": cz} | {n: layer.reshape(-1) for n, layer in layers.items()}

    def reset(self) -> None:
        """Empty the fields."""
        self.fields = Fields(self._config, self._form)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return self.fields.snapshot()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state that `snapshot` returned."""
        self.fields.restore(state)
