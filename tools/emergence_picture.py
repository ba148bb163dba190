"""Draws the emergence of a day and of two flocks: `python tools/emergence_picture.py DAY LOW HIGH docs/emergence.png`.

DAY, LOW and HIGH are folders of results of `aura run --flows emergence`; docs/emergence.md has the commands.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow.parquet as pq
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

mpl.use("Agg")

_PHI, _REVISED, _GREY = "#b5564a", "#1f6f8b", "#9a9a9a"
_WARM_PAIRS = 60  # fewer pairs of states say more about themselves than about nine regions


def main(day: Path, low: Path, high: Path, picture: Path) -> None:
    """Read the results and write `picture`."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 7), layout="constrained")
    _day(top, _read(day))
    _flocks(bottom, {"coupling 0": _read(low), "coupling 0.9": _read(high)})
    figure.savefig(picture, dpi=110)


def _read(folder: Path) -> dict[str, np.ndarray]:
    table = pq.read_table(folder / "emergence.parquet")
    rows = table.filter(table["pairs"].to_numpy() >= _WARM_PAIRS)
    return {name: rows[name].to_numpy() for name in rows.column_names}


def _lines(
    axes: Axes, at: np.ndarray, found: dict[str, np.ndarray], *, note: str = "", style: str = "-"
) -> None:
    for name, colour, text in (("revised_nats", _REVISED, "revised"), ("phi_nats", _PHI, "Barrett and Seth")):
        axes.plot(at, found[name], style, color=colour, linewidth=1.3, label=f"Φ, {text}{note}")


def _frame(axes: Axes, title: str) -> None:
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_ylabel("nats")
    axes.margins(x=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(loc="lower right", frameon=False, fontsize=8, ncols=2)


def _day(axes: Axes, found: dict[str, np.ndarray]) -> None:
    hours = found["time_us"] / 3.6e9 % 24
    _lines(axes, hours, found)
    reports = axes.twinx()
    reports.fill_between(hours, found["reports"], color=_GREY, alpha=0.25, linewidth=0)
    reports.set_ylabel("reports a minute", color="#707070")
    reports.set_ylim(0, float(found["reports"].max()) * 2)
    reports.spines["top"].set_visible(False)
    axes.set_xlabel("hour, UTC")
    axes.set_ylim(-0.15, 0.25)
    _frame(axes, "A day of flights over Switzerland: reports a minute in nine regions")


def _flocks(axes: Axes, runs: dict[str, dict[str, np.ndarray]]) -> None:
    for (name, found), style in zip(runs.items(), ("-", "--"), strict=True):
        minutes = (found["time_us"] - found["time_us"][0]) / 6e7
        knows = np.median(found["information_nats"])
        _lines(axes, minutes, found, note=f", {name} (I = {knows:.1f})", style=style)
    axes.set_ylim(-1.8, 0.3)
    axes.set_xlabel("minutes")
    _frame(axes, "500 simulated agents: mean speed in nine regions; alone, and in flocks")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
