"""Draws the hierarchy over the place with most events: `python tools/hierarchy_picture.py out docs/hierarchy.png`."""

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

_LEVELS, _METRIC = (3, 4, 5, 6), "speed_mps"
_COLOURS = dict(zip(_LEVELS, ("#c6dbef", "#6baed6", "#2171b5", "#d62728"), strict=True))
_STEPS = {3: "1 s", 4: "10 s", 5: "100 s", 6: "1,000 s"}


def main(out: Path, picture: Path) -> None:
    """Read the levels in `out` and write `picture`."""
    table = pq.read_table(out / "levels.parquet")
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained", width_ratios=(2, 1))
    _draw_states(left, table)
    _draw_rows(right, table)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


def _draw_states(axes: Axes, table: pa.Table) -> None:
    start_us = pc.min(table["time_us"]).as_py() // 86_400_000_000 * 86_400_000_000
    cell = _busiest(table)
    for level in _LEVELS:
        region = [c >> (level - _LEVELS[0]) for c in cell]
        rows = table.filter(_is(table, level, region))
        hours = (rows["time_us"].to_numpy() - start_us) / 3.6e9
        axes.plot(
            hours, rows[f"{_METRIC}_state"], color=_COLOURS[level], lw=0.8 + 0.5 * (level - 3),
            label=f"level {level}: each {_STEPS[level]} in which something happens",
        )  # fmt: skip
    axes.set(xlabel="hour of the day, UTC", ylabel="state of the speed, m/s")
    axes.legend(frameon=False, loc="lower right")
    axes.set_title("One place in four levels: each follows the one below, more slowly", loc="left")


def _busiest(table: pa.Table) -> list[int]:
    """Return the region of the lowest level drawn that has most steps."""
    rows = table.filter(pc.equal(table["level"], _LEVELS[0]))
    counts = (
        rows.group_by(["cx", "cy", "cz"])
        .aggregate([("events", "count")])
        .sort_by([("events_count", "descending")])
    )
    return [counts[name][0].as_py() for name in ("cx", "cy", "cz")]


def _is(table: pa.Table, level: int, region: list[int]) -> pa.ChunkedArray:
    same = pc.equal(table["level"], level)
    for name, value in zip(("cx", "cy", "cz"), region, strict=True):
        same = pc.and_(same, pc.equal(table[name], value))
    return same


def _draw_rows(axes: Axes, table: pa.Table) -> None:
    level = table["level"].to_numpy()
    rows = np.bincount(level, minlength=7)
    events = np.bincount(level, table["events"].to_numpy(), minlength=7)
    axes.barh(np.arange(7), rows, color="#6baed6")
    axes.set_xscale("log")
    axes.set_xlim(right=axes.get_xlim()[1] * 8)
    for number, count in enumerate(rows.tolist()):
        axes.text(count * 1.15, number, f"{count:,}", va="center", fontsize=9)
    axes.set(xlabel="rows: steps of regions in which something happened", ylabel="level")
    axes.set_title(f"Each level has all {int(events[0]):,} events", loc="left")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
