"""The rows as a table on the terminal and as JSON, with what they were measured on."""

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.row import Row

__all__ = ["settings", "show", "terminal", "write"]

_PACKAGES = ("bytewax", "numpy", "pyarrow", "kafka-python", "onnxruntime-gpu", "polars")


def settings() -> dict[str, str]:
    """Return what the figures were measured on."""
    machine = (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )
    return {"machine": machine, "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES)}


def terminal() -> Console:
    """Return the console; wide enough for the table where there is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=190)


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the table; nothing is left out because it falls short."""
    table = Table(title="AURA, median of the timed runs", show_lines=False)
    for column in ("what", "target", "measured", "runs", "beside", "ratio", "met"):
        table.add_column(column, justify="left" if column in ("what", "beside") else "right")
    for row in rows:
        bound = "" if row.target is None else f"{'<=' if row.at_most else '>='} {_digits(row.target)}"
        spread = f"{_digits(min(row.runs))} to {_digits(max(row.runs))}" if row.runs else ""
        beside = "" if row.peer_value is None else f"{row.peer}: {_digits(row.peer_value)}"
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
        met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[row.met]
        table.add_row(row.what, bound, f"{_digits(row.value)} {row.unit}", spread, beside, ratio, met)
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"{row.what}: {row.note}", style="dim")
    judged = [row for row in rows if row.met is not None]
    console.print(f"{sum(bool(row.met) for row in judged)} of {len(judged)} targets met")
    for name, text in settings().items():
        console.print(f"{name}: {text}", style="dim")


def write(rows: Sequence[Row], path: Path) -> None:
    """Write the rows and what they were measured on."""
    found: list[dict[str, Any]] = [asdict(row) | {"met": row.met, "ratio": row.ratio} for row in rows]
    for row in found:  # JSON has no NaN
        row["value"] = row["value"] if math.isfinite(row["value"]) else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**settings(), "rows": found}, indent=2) + "\n")


def _digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
