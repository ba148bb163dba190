"""The one chart of the README: rates on a log scale, the same job by others above, AURA's rows with their targets below.

python -m benchmarks.chart docs/benchmarks.png    # from what `make bench` and `make bench-peers` last found
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["OUT", "draw"]

OUT = Path("out/benchmarks")
"""Where both commands leave their results.json and peers.json."""

_INK, _MUTED, _OWN, _MISSED, _OTHER = "#1b1f24", "#6a737d", "#2563a8", "#c2553d", "#b9c2cc"
_RATE = "M events/s"
_BAR, _ROW_INCHES = 0.62, 0.34


def draw(folder: Path, path: Path) -> None:
    """Draw the rates that are found in `folder`; nothing where there are none.

    Parameters
    ----------
    folder
        Holds results.json, peers.json or both.
    path
        Of the PNG.
    """
    panels = [panel for panel in (_peers(folder), _targets(folder)) if panel[1]]
    if not panels:
        return
    import matplotlib as mpl  # noqa: PLC0415 (slow to import, and a run without rates does without)

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    heights = [len(rows) + 1.2 for _, rows in panels]
    figure, axes = plt.subplots(
        len(panels), 1, sharex=True, squeeze=False, layout="constrained",
        figsize=(10, _ROW_INCHES * sum(heights) + 0.7), gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for (title, rows), ax in zip(panels, axes[:, 0], strict=True):
        _bars(ax, title, rows)
    least, most = (pick(row["value"] for _, rows in panels for row in rows) for pick in (min, max))
    axes[0, 0].set_xlim(least / 3, most * 8)
    axes[-1, 0].set_xlabel("million events a second, log scale", color=_MUTED)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor="white")
    plt.close(figure)


def _peers(folder: Path) -> tuple[str, list[dict[str, Any]]]:
    title = "One job by AURA and by others, one core"
    own, *others = [row for row in _read(folder / "peers.json") if row["unit"] == _RATE] or [{}]
    others = sorted(others, key=lambda row: -row["value"])
    return title, [own, *(row | {"lead": own["value"] / row["value"]} for row in others)] if own else []


def _targets(folder: Path) -> tuple[str, list[dict[str, Any]]]:
    title = "AURA: line = target, diamond = limit beside it"
    rows = [row for row in _read(folder / "results.json") if row["unit"] == _RATE]
    return title, sorted(rows, key=lambda row: -row["value"])


def _read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    return rows


def _bars(ax: Any, title: str, rows: Sequence[dict[str, Any]]) -> None:
    ax.set_title(title, loc="left", fontsize=10, fontweight="bold", color=_INK, pad=8)
    ax.barh(range(len(rows)), [row["value"] for row in rows], _BAR, color=[_color(row) for row in rows])
    for place, row in enumerate(rows):
        if row["target"] is not None:
            ax.plot([row["target"]] * 2, [place - 0.42, place + 0.42], color=_INK, linewidth=1.6)
        if row["peer_value"] is not None:
            ax.plot(row["peer_value"], place, marker="D", color=_INK, markersize=4.5, markerfacecolor="white")
        reach = max(row["value"], row["target"] or 0, row["peer_value"] or 0)
        ax.text(reach * 1.3, place, _words(row), va="center", fontsize=8.5, color=_INK)
    ax.set_yticks(range(len(rows)), [row["what"] for row in rows], fontsize=8.5, color=_INK)
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.tick_params(which="both", length=0, colors=_MUTED)
    ax.tick_params(axis="y", labelcolor=_INK)
    ax.grid(axis="x", color="#e4e8ec", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)


def _color(row: dict[str, Any]) -> str:
    if "lead" in row:
        return _OTHER
    return _MISSED if row["met"] is False else _OWN


def _words(row: dict[str, Any]) -> str:
    digits = f"{row['value']:.3g}" if row["value"] < 1000 else f"{row['value']:,.0f}"
    return f"{digits}   AURA {row['lead']:,.{0 if row['lead'] >= 100 else 1}f}x" if "lead" in row else digits


def main() -> None:
    """Draw what was last found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chart", description=__doc__)
    parser.add_argument("path", type=Path, help="of the PNG")
    parser.add_argument("--results", type=Path, default=OUT, help="folder of results.json and peers.json")
    asked = parser.parse_args()
    draw(asked.results, asked.path)


if __name__ == "__main__":
    main()
