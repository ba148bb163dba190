"""Draws the population at one moment: `python tools/population_picture.py out-of-flights out-of-simulation docs/population.png`."""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

mpl.use("Agg")

_ARROWS = 4_000  # more of them hide each other


def main(flights: Path, simulated: Path, picture: Path) -> None:
    """Read the agents in two folders of results and write `picture`."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, 4.7), layout="constrained", width_ratios=(1.25, 1)
    )
    _draw_flights(left, pq.read_table(flights / "agents.parquet"))
    arrows = _draw_flocks(right, pq.read_table(simulated / "agents.parquet"))
    bar = figure.colorbar(arrows, ax=right, ticks=[0, np.pi / 2, np.pi, 3 * np.pi / 2, 2 * np.pi], shrink=0.8)
    bar.ax.set_yticklabels(["0", "π/2", "π", "3π/2", "2π"])
    bar.set_label("mean heading around the agent")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


def _draw_flights(axes: Axes, agents: pa.Table) -> None:
    counts = agents["time_us"].value_counts()
    busiest = counts.field("values")[pc.index(counts.field("counts"), pc.max(counts.field("counts"))).as_py()]
    now = agents.filter(pc.equal(agents["time_us"], busiest))
    x, y, z, heading = (now[n].to_numpy() for n in ("x_m", "y_m", "z_m", "heading_rad"))
    axes.scatter(x / 1000, y / 1000, s=6 + 2.5 * now["near"].to_numpy() ** 2, color="#d9d9d9", zorder=1)
    # A track is clockwise from north.
    arrows = axes.quiver(
        x / 1000, y / 1000, np.sin(heading), np.cos(heading), z / 1000, cmap="viridis",
        scale=38, width=0.004, zorder=2,
    )  # fmt: skip
    axes.figure.colorbar(arrows, ax=axes, shrink=0.8, label="altitude, km")
    axes.set_aspect("equal")
    axes.set(xlabel="km east of 8.2° E", ylabel="km north of 46.8° N")
    axes.set_title(f"{len(x)} aircraft at the end of the busiest minute;\ngrey: more others near", loc="left")


def _draw_flocks(axes: Axes, agents: pa.Table) -> mpl.quiver.Quiver:
    now = agents.filter(pc.equal(agents["time_us"], pc.max(agents["time_us"])))
    shown = np.random.default_rng(0).permutation(len(now))[:_ARROWS]
    x, y, heading, near = (
        now[n].to_numpy()[shown] for n in ("x_m", "y_m", "heading_rad", "near_heading_rad")
    )
    arrows = axes.quiver(
        x,
        y,
        np.cos(heading),
        np.sin(heading),
        near,
        cmap="twilight",
        clim=(0, 2 * np.pi),
        scale=75,
        width=0.0025,
    )
    axes.set_aspect("equal")
    axes.set(xlabel="m", ylabel="m")
    axes.set_title(f"{len(shown):,} of {len(now):,} simulated agents", loc="left")
    return arrows


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
