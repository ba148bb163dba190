"""The frames that the page draws, made from a view: each is encoded once, whoever asks for it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dashboard.frames import Quantised, encode, quantise
from dashboard.view import View
from operators.result import KINDS

__all__ = ["Box", "Pictures", "columns_of", "layers_of"]

_POINTS = 200_000  # more agents than that are sent as a density: 10 bytes an agent, four times a second
_DENSITY_CELLS = 256
_GONE = 255
_FEW = 4  # frames of cells that are kept: what the clients look at just now
_HIGH_SHARE = 0.995  # of the values are below the end of the scale: single ones must not flatten the rest


@dataclass(frozen=True)
class Box:
    """The world: corners and cells, metres; latitude and longitude of the origin where it is on the Earth."""

    min_m: tuple[float, float, float]
    max_m: tuple[float, float, float]
    cell_m: tuple[float, float, float]
    origin: tuple[float, float] | None = None


@dataclass
class Pictures:
    """The frames of a view.

    Parameters
    ----------
    view, box
        What is drawn, and where.
    field_cell_m
        Edges of a cell of the field along x and y.
    """

    view: View
    box: Box
    field_cell_m: tuple[float, float] = (1.0, 1.0)
    _made: dict[Any, tuple[Any, bytes]] = field(default_factory=dict)

    def agents(self) -> bytes:
        """Return the agents by slot, or how many there are where if they are too many."""
        make = self._points if len(self.view.agents) <= _POINTS else self._density
        return self._kept("agents", self.view.agents_version, make)

    def cells(self, window: str, column: str) -> bytes | None:
        """Return a column of the newest cells of a window; None if there are none."""
        start_us = self.view.windows.latest(window)
        if start_us is None:
            return None
        version = (start_us, self.view.windows.version)
        return self._kept((window, column), version, lambda: self._cells(window, start_us, column))

    def field(self, layer: str) -> bytes | None:
        """Return a layer of the newest field, seen from above; None if there is none."""
        values = self.view.newest("fields", layer)
        if values is None:
            return None
        time_us = int(self.view.latest["fields"]["time_us"][0].as_py())
        return self._kept(
            ("field", layer), (time_us, len(values)), lambda: self._field(layer, values, time_us)
        )

    def _kept(self, key: Any, version: Any, make: Callable[[], bytes]) -> bytes:
        known = self._made.pop(key, None)
        frame = known[1] if known is not None and known[0] == version else make()
        self._made[key] = version, frame
        while len(self._made) > _FEW:
            del self._made[next(iter(self._made))]
        return frame

    def _points(self) -> bytes:
        agents, state = self.view.agents, self.view.agents.state()
        low, high = self.box.min_m, self.box.max_m
        heading = np.mod(state["heading_rad"], 2 * math.pi)
        columns: dict[str, NDArray[Any] | Quantised] = {
            axis: quantise(state[f"{axis}_m"], low[i], high[i]) for i, axis in enumerate("xyz")
        }
        columns |= {
            "heading": quantise(heading, 0.0, 2 * math.pi, bits=8),
            "level": np.where(agents.gone(), np.uint8(_GONE), state["level"]),
            "score": _by_share(state["score"]),
            "speed": _by_share(state["speed_mps"]),
        }
        more = {"time_us": agents.now_us, "generation": agents.generation, "scored": _any(state["score"])}
        return encode("agents", columns, more)

    def _density(self) -> bytes:
        state = self.view.agents.alive()
        (x0, y0, _), (x1, y1, _) = self.box.min_m, self.box.max_m
        size = max(x1 - x0, y1 - y0) / _DENSITY_CELLS
        nx, ny = math.ceil((x1 - x0) / size), math.ceil((y1 - y0) / size)
        ix = np.minimum(((state["x_m"] - x0) / size).astype(np.int32), nx - 1)
        iy = np.minimum(((state["y_m"] - y0) / size).astype(np.int32), ny - 1)
        counts = np.bincount(iy * nx + ix, minlength=nx * ny).astype(np.uint32)
        more = {"time_us": self.view.agents.now_us, "shape": [nx, ny], "cell_m": size, "agents": len(ix)}
        return encode("density", {"count": counts}, more)

    def _cells(self, window: str, start_us: int, column: str) -> bytes:
        table = self.view.windows.cells(window, start_us)
        assert table is not None  # `latest` has found it
        values = _floats(table, column)
        shown = np.isfinite(values)
        columns = {axis: table[axis].to_numpy()[shown].astype(np.uint16) for axis in ("cx", "cy", "cz")}
        columns["value"] = values[shown]
        end_us = int(table["end_us"][0].as_py()) if table.num_rows else start_us
        return encode(
            "cells", columns, {"window": window, "column": column, "start_us": start_us, "end_us": end_us}
        )

    def _field(self, layer: str, values: NDArray[Any], time_us: int) -> bytes:
        """Take the mean over the height; cells of a field are numbered from the world's lower corner."""
        table = self.view.latest["fields"]
        cx, cy = (table[name].to_numpy() for name in ("cx", "cy"))
        nx, ny = int(cx.max()) + 1, int(cy.max()) + 1
        place, known = cy * nx + cx, np.isfinite(values)
        rows = np.bincount(place[known], minlength=nx * ny)
        with np.errstate(invalid="ignore"):
            mean = np.bincount(place[known], values[known], minlength=nx * ny) / rows
        more = {"layer": layer, "time_us": time_us, "shape": [nx, ny], "cell_m": self.field_cell_m}
        return encode("field", {"value": mean.astype(np.float32)}, more)


def columns_of(view: View) -> list[str]:
    """Return the columns of cells that can be drawn."""
    for window in view.windows.names():
        start_us = view.windows.latest(window)
        table = None if start_us is None else view.windows.cells(window, start_us)
        if table is not None:
            left_out = {"window", "start_us", "end_us", "cx", "cy", "cz", "revision", "shard", "model"}
            return [name for name in table.column_names if name not in left_out]
    return []


def layers_of(view: View) -> list[str]:
    """Return the layers of the field that have values."""
    if "fields" not in view.latest:
        return []
    names = [name for name in KINDS["fields"].columns if name not in ("time_us", "cx", "cy", "cz")]
    return [name for name in names if _any(np.asarray(view.newest("fields", name), np.float32))]


def _floats(table: pa.Table, column: str) -> NDArray[np.float32]:
    if column not in table.column_names:
        return np.full(table.num_rows, np.nan, np.float32)
    values: NDArray[np.float32] = table[column].to_numpy().astype(np.float32)
    if column == "agents":
        values[values < 0] = np.nan  # the window did not ask for it
    return values


def _by_share(values: NDArray[np.float32]) -> Quantised:
    """Quantise values from 0 to what nearly all of them are below."""
    known = values[np.isfinite(values)]
    if len(known) > 20_000:
        known = known[:: len(known) // 10_000]
    high = float(np.quantile(known, _HIGH_SHARE)) if len(known) else 1.0
    return quantise(values, 0.0, high or 1.0, bits=8)


def _any(values: NDArray[np.float32]) -> bool:
    return bool(np.isfinite(values).any())
