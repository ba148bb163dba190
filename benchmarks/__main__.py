"""`python -m benchmarks`: every row of the table, in under ten minutes; exit code 0 whether or not targets are met."""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    bridge,
    cluster,
    emergence,
    fields,
    flow,
    growth,
    kafka_latency,
    kafka_rates,
    kernel,
    memory,
    observing,
    page,
    parquet,
    population,
    promises,
    scoring,
)
from benchmarks.chart import OUT, draw
from benchmarks.report import show, terminal, write
from benchmarks.row import Effort, Row

ROWS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "kernel": kernel.rows,
    "flow": flow.rows,
    "processes": cluster.rows,
    "million": flow.snapshot_rows,
    "sliding": flow.window_rows,
    "parquet": parquet.rows,
    "kafka": kafka_rates.rows,
    "latency": kafka_latency.rows,
    "scoring": scoring.rows,
    "population": population.rows,
    "fields": fields.rows,
    "emergence": emergence.rows,
    "page": page.rows,
    "bridge": bridge.rows,
    "memory": memory.rows,
    "growth": growth.rows,
    "observing": observing.rows,
    "promises": promises.rows,
}


def main() -> None:
    """Run the rows that were asked for."""
    asked = _arguments()
    effort = Effort(runs=1, share=0.1) if asked.quick else Effort()
    console, found, start = terminal(), list[Row](), time.perf_counter()
    for name in asked.only or ROWS:
        with console.status(name):
            found += _measured(name, effort)
        console.print(f"{time.perf_counter() - start:4.0f} s  {name}", style="dim")
    show(found, console)
    write(found, asked.out / "results.json")
    draw(asked.out, asked.out / "benchmarks.png")
    seconds = time.perf_counter() - start
    console.print(f"{seconds:.0f} s; {asked.out / 'results.json'} and benchmarks.png beside it")


def _measured(name: str, effort: Effort) -> list[Row]:
    """Return the rows of a name; one that says why where they cannot be measured here: nothing is left out."""
    try:
        return list(ROWS[name](effort))
    except Exception as error:
        return [Row(f"{name}: NOT MEASURED", float("nan"), "", note=f"{type(error).__name__}: {error}")]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=ROWS,
        metavar="NAME",
        help=f"one of {', '.join(ROWS)}; may be repeated",
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the events, one timed run")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for results.json and benchmarks.png")
    return parser.parse_args()


if __name__ == "__main__":
    main()
