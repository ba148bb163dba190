"""`aura fields`: what a run published of the field, as a table, a picture or an animation."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kernels.errors import AuraError, ConfigError
from service.commands.options import AsJson, Out, Profile, Set, settings_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EXAMPLES", "command"]

EXAMPLES = (
    "Examples: aura fields | aura fields --png slice.png | aura fields --layer information --z 4 --png slice.png | "
    "aura fields --gif pheromone.gif"
)

_UNITS = {"pheromone": "marks", "gradient": "marks/m", "potential": "1/m", "information": "bits"}
_COLUMNS = {"gradient": ("gradient_x", "gradient_y", "gradient_z")}


def command(  # noqa: PLR0917 (each is an option of the command line)
    profile: Profile = "flights",
    out: Out = None,
    layer: Annotated[str, typer.Option(help="pheromone, gradient, potential or information.")] = "pheromone",
    z: Annotated[int | None, typer.Option(help="Number of the slice; that of the greatest value.")] = None,
    at: Annotated[
        int | None, typer.Option(help="Number of the publication; the last is -1.", show_default="-1")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Write the slice as a picture.")] = None,
    gif: Annotated[Path | None, typer.Option(help="Write the slice of all publications, moving.")] = None,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Say what a run published of the field, and draw it; the profile is the one that the run had."""
    from service.field_picture import save_gif

    if layer not in _UNITS:
        raise ConfigError(f"--layer {layer!r}: allowed are {', '.join(_UNITS)}")
    settings = settings_of(profile, set_, {"sink.directory": out})
    published = _Published(settings, layer)
    chosen = published.time_us(-1 if at is None else at)
    cube = published.cube(chosen)
    number = published.slice_of(cube) if z is None else z
    if not 0 <= number < len(cube):
        raise ConfigError(f"--z {number}: allowed are 0 to {len(cube) - 1}")
    if png is not None:
        published.picture(chosen, number, float(cube[number].max())).save(png)
    if gif is not None:
        cubes = [(time_us, published.cube(time_us)) for time_us in published.times_us]
        high = max(float(each[number].max()) for _, each in cubes)
        save_gif([published.picture(time_us, number, high) for time_us, _ in cubes], gif)
    said = {
        "publications": len(published.times_us), "cells": list(cube.shape[::-1]), "layer": layer, "z": number,
        "time": _text(chosen), "greatest": float(cube[number].max()), "mean": float(cube[number].mean()),
    }  # fmt: skip
    print(json.dumps(said) if as_json else "\n".join(f"{name:12} {value}" for name, value in said.items()))


class _Published:
    """A layer in `fields.parquet`."""

    def __init__(self, settings: Any, layer: str) -> None:
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        from flows.fields import field_config

        self._path = settings.sink.directory / "fields.parquet"
        if not self._path.is_file():
            raise AuraError(
                f"there is no {self._path}",
                "Run `aura run --flows fields` first, or name the folder with --out",
            )
        self._layer, self._lattice = layer, field_config(settings).lattice
        times = pq.read_table(self._path, columns=["time_us"])["time_us"]
        self.times_us: list[int] = sorted(pc.unique(times).to_pylist())

    def time_us(self, number: int) -> int:
        """Return the event time of a publication."""
        if not -len(self.times_us) <= number < len(self.times_us):
            raise ConfigError(f"--at {number}: there are {len(self.times_us)} publications")
        return self.times_us[number]

    def cube(self, time_us: int) -> "NDArray[np.float32]":
        """Return the layer as (nz, ny, nx), the gradient by its magnitude."""
        import numpy as np
        import pyarrow.parquet as pq

        names = _COLUMNS.get(self._layer, (self._layer,))
        table = pq.read_table(
            self._path, columns=["cx", "cy", "cz", *names], filters=[("time_us", "=", time_us)]
        )
        index = tuple(table[name].to_numpy() for name in ("cz", "cy", "cx"))
        cube = np.zeros(self._lattice.shape[::-1], np.float32)
        if any(len(i) and i.max() >= n for i, n in zip(index, cube.shape, strict=True)):
            raise AuraError(
                f"{self._path} has more cells than the profile's field, {self._lattice.shape}",
                "Name the run's --profile",
            )
        squares = sum(table[name].to_numpy() ** 2 for name in names)
        cube[index] = np.sqrt(squares) if len(names) > 1 else table[names[0]].to_numpy()
        return cube

    def slice_of(self, cube: "NDArray[np.float32]") -> int:
        """Return the slice with the greatest value."""
        return int(cube.max(axis=(1, 2)).argmax())

    def picture(self, time_us: int, z: int, high: float) -> Any:
        """Draw a slice."""
        from service.field_picture import draw

        edge_m = self._lattice.cell_m[2]
        low_m = self._lattice.min_m[2] + z * edge_m
        caption = f"{self._layer}, z from {low_m:g} to {low_m + edge_m:g} m, {_text(time_us)}"
        return draw(self.cube(time_us)[z], high=high, caption=caption, unit=_UNITS[self._layer])


def _text(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(" ", "milliseconds")[:-6]
