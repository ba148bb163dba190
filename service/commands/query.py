"""`aura query`: questions to a running flow, through its dashboard."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.options import AsJson

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Ask a running flow: its workers answer by a deadline, and each is named with the time it took.",
    epilog="Examples: aura query agents --near 500,500 --k 5 | aura query cells second --top count --limit 10 | "
    "aura query agents --box 0,0,100,100 --out found.parquet",
)

Server = Annotated[str, typer.Option("--at", help="Address of the dashboard.")]
Token = Annotated[str | None, typer.Option(envvar="AURA_TOKEN", help="Its token, if it has one.")]
Deadline = Annotated[int, typer.Option(help="Milliseconds: what has answered by then is the answer.")]
Bytes = Annotated[int, typer.Option(help="The answer is cut to so many bytes.")]
Limit = Annotated[int, typer.Option(min=1, help="Rows at most.")]
Out = Annotated[Path | None, typer.Option(help="Write the rows to a .parquet or .arrow file.")]

_HERE = "http://127.0.0.1:8080"
_DEADLINE_MS, _BYTES, _LIMIT = 1_000, 16 * 2**20, 20
_SHOWN = 12  # columns: a terminal has room for so many


@app.command(epilog="Example: aura query agents --near 500,500 --k 5")
def agents(  # noqa: PLR0917 (each is an option of the command line)
    id_: Annotated[list[int] | None, typer.Option("--id", help="Of an agent; may be repeated.")] = None,
    box: Annotated[str | None, typer.Option(help="x0,y0,x1,y1 or x0,y0,z0,x1,y1,z1, metres.")] = None,
    near: Annotated[str | None, typer.Option(help="x,y or x,y,z, metres: the nearest first.")] = None,
    radius: Annotated[float | None, typer.Option(help="Metres around --near.")] = None,
    k: Annotated[int | None, typer.Option(min=1, help="So many of the nearest.")] = None,
    level: Annotated[int | None, typer.Option(min=0, max=6, help="Only of that level.")] = None,
    top: Annotated[str | None, typer.Option(help="score, speed_mps or energy: the highest first.")] = None,
    limit: Limit = _LIMIT,
    deadline_ms: Deadline = _DEADLINE_MS,
    max_bytes: Bytes = _BYTES,
    out: Out = None,
    at: Server = _HERE,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Print where agents are now: by id, in a box, within a radius, or the k nearest to a point."""
    asked: dict[str, Any] = {"box": box, "near": near, "radius_m": radius, "k": k, "level": level, "top": top}
    asked["id"] = ",".join(map(str, id_)) if id_ else None
    asked |= {"limit": limit, "deadline_ms": deadline_ms, "max_bytes": max_bytes}
    _answer("agents", asked, at, token, out, as_json)


@app.command(epilog="Example: aura query cells second --top count --limit 10")
def cells(  # noqa: PLR0917 (each is an option of the command line)
    window: Annotated[str, typer.Argument(help="Its name, as configured.")],
    start_us: Annotated[int | None, typer.Option(help="The window that starts there (the newest).")] = None,
    region: Annotated[str | None, typer.Option(help="cx0,cy0,cx1,cy1: cells, both ends included.")] = None,
    starts: Annotated[int, typer.Option(min=1, help="So many of the newest windows.")] = 1,
    top: Annotated[str | None, typer.Option(help="A column: its highest values first.")] = None,
    limit: Limit = _LIMIT,
    deadline_ms: Deadline = _DEADLINE_MS,
    max_bytes: Bytes = _BYTES,
    out: Out = None,
    at: Server = _HERE,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Print cells of a window: all, in a region, or those where a metric or the score is highest."""
    asked: dict[str, Any] = {
        "window": window,
        "start_us": start_us,
        "cells": region,
        "starts": starts,
        "top": top,
    }
    asked |= {"limit": limit, "deadline_ms": deadline_ms, "max_bytes": max_bytes}
    _answer("cells", asked, at, token, out, as_json)


@app.command(epilog="Example: aura query alerts --limit 5")
def alerts(  # noqa: PLR0917 (each is an option of the command line)
    agent: Annotated[int | None, typer.Option(help="Only of that agent.")] = None,
    limit: Limit = _LIMIT,
    out: Out = None,
    at: Server = _HERE,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Print the newest alerts."""
    _answer("alerts", {"agent_id": agent, "limit": limit}, at, token, out, as_json)


@app.command(epilog="Example: aura query history 4711 --out track.parquet")
def history(  # noqa: PLR0917 (each is an option of the command line)
    id_: Annotated[int, typer.Argument(metavar="ID", help="Of the agent.")],
    limit: Limit = 1_000,
    out: Out = None,
    at: Server = _HERE,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Print where an agent was, a row a second, as far back as the dashboard remembers."""
    _answer(f"agents/{id_}/history", {"limit": limit}, at, token, out, as_json)


def _answer(  # noqa: PLR0917 (the options of every command here)
    path: str, asked: dict[str, Any], at: str, token: str | None, out: Path | None, as_json: bool
) -> None:
    """Ask, and write, print or show what comes back."""
    from service.query import ask, write

    table, about = ask(at, path, asked, token)
    if out is not None:
        write(table, out)
    if as_json:
        from dashboard.formats import rows_of

        print(json.dumps(about | {"answer": rows_of(table)}, allow_nan=False))
        return
    if out is None:
        _print(table)
    for part in about["workers"]:
        said = (
            f"{part['rows']} rows in {part['took_ms']:.1f} ms"
            if part["answered"]
            else "no answer by the deadline"
        )
        print(f"{part['worker']}: {said}{', cut' if part['cut'] else ''}")
    print(
        f"{about['rows']} rows in {about['took_ms']:.1f} ms" + ("" if about["complete"] else ", not complete")
    )


def _print(table: "pa.Table") -> None:
    from rich.console import Console
    from rich.table import Table

    shown, names = Table(), table.column_names[:_SHOWN]
    for name in names:
        shown.add_column(name, justify="right")
    for row in table.select(names).to_pylist():
        shown.add_row(
            *(f"{v:.6g}" if isinstance(v, float) else "" if v is None else str(v) for v in row.values())
        )
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(shown)
