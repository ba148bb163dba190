"""Draws what a run found, reports per cell and alerts: `python tools/picture.py out docs/flights.png`."""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from matplotlib import colors
from matplotlib import pyplot as plt

mpl.use("Agg")

_MIN_M, _CELL_KM = (-300.0, -250.0), 10.0  # the world of profiles/flights.toml, km
_SHOWN_KM = (-180, 180, -125, 125)


def main(out: Path, picture: Path) -> None:
    """Read the results in `out` and write `picture`."""
    cells = pq.read_table(out / "cells.parquet")
    cells = cells.filter(pc.equal(cells["window"].cast("string"), "minute"))
    density = np.zeros((60, 50))
    np.add.at(density, (cells["cx"].to_numpy(), cells["cy"].to_numpy()), cells["count"].to_numpy())
    alerts = pq.read_table(out / "alerts.parquet", filters=[("kind", "=", "agent")])
    figure, axes = plt.subplots(figsize=(10, 6.4), layout="constrained")
    edges = [low + _CELL_KM * np.arange(n + 1) for low, n in zip(_MIN_M, density.shape, strict=True)]
    mesh = axes.pcolormesh(
        *edges, np.where(density > 0, density, np.nan).T, norm=colors.LogNorm(), cmap="viridis"
    )
    x_km, y_km = (alerts[name].to_numpy() / 1000 for name in ("x_m", "y_m"))
    axes.scatter(
        x_km, y_km, s=26, facecolors="none", edgecolors="#d62728", linewidths=1.2, label=f"{len(x_km)} alerts"
    )
    axes.axis(_SHOWN_KM)
    axes.set_aspect("equal")
    axes.set(xlabel="km east of 8.2° E", ylabel="km north of 46.8° N")
    axes.set_title(
        f"{int(density.sum()):,} position reports of a day over Switzerland, by 10 km cell", loc="left"
    )
    axes.legend(loc="lower right")
    figure.colorbar(mesh, label="reports a day", shrink=0.8)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
