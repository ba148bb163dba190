"""The same job by others, each as a user would write it well: count and sum per (second, cell), 64 x 64 cells.

    aura                the flow of benchmarks.flow: frames in, exact sums out
    sketch              frames and numpy on Bytewax by hand: no checks, no late rule, one shard
    bytewax             fold_window, an event an item
    bytewax-tuned       events as items, folded by flat_map_batch with numpy before one stateful step
    polars              group_by in memory on one thread

The rate is the slope between two sizes, so that start-up does not count; by CPU time, so that other work on the machine
does not: each job runs on one thread. Each run is a process of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from benchmarks.chart import OUT, draw
from benchmarks.peer_jobs import aura, bytewax, polars, sketch, tuned
from benchmarks.report import show, terminal, write
from benchmarks.row import Row

_SIZES = (2_000_000, 20_000_000)
_SLOW = {
    "bytewax": (1_000_000, 3_000_000)
}  # two to three minutes, run once; 20 million would take a quarter of an hour
# One thread of polars, and for all what AURA asks of malloc: a frame's arrays are mapped anew each time without it, which
# takes numpy by hand 14 of 20 ns an event.
_ENVIRONMENT = {
    "POLARS_MAX_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
}  # fmt: skip
_GOALS = {"bytewax": 3000.0, "bytewax-tuned": 10.0, "polars": 1.5}
_NAMES = {
    "aura": "AURA: frames in, exact sums out",
    "sketch": "by hand on Bytewax: frames and numpy, one shard, no checks, no late rule",
    "bytewax": f"Bytewax {version('bytewax')}, fold_window, an event an item",
    "bytewax-tuned": f"Bytewax {version('bytewax')} tuned, events as items, numpy in flat_map_batch",
    "polars": f"polars {version('polars')}, group_by in memory, one thread",
}


_PEERS: dict[str, Callable[[int], float]] = {
    "aura": aura, "sketch": sketch, "bytewax": bytewax, "bytewax-tuned": tuned, "polars": polars,
}  # fmt: skip


def _slope(name: str, runs: int) -> tuple[float, ...]:
    """Return M events/s between the two sizes, of runs in processes of their own."""
    small, large = _sizes(name)
    return tuple((large - small) / (_seconds(name, large) - _seconds(name, small)) / 1e6 for _ in range(runs))


def _sizes(name: str) -> tuple[int, int]:
    return _SLOW.get(name, _SIZES)


def _seconds(name: str, events: int) -> float:
    command = [sys.executable, "-m", "benchmarks.peers", "--one", name, "--events", str(events)]
    return float(
        json.loads(
            subprocess.run(command, check=True, capture_output=True, env=os.environ | _ENVIRONMENT).stdout
        )
    )


def _rows(runs: int) -> Iterator[Row]:
    """Yield AURA's rate, and for each peer its own and AURA's by it."""
    rates = {name: _slope(name, 1 if name in _SLOW else runs) for name in _PEERS}
    own = statistics.median(rates["aura"])
    for name, found in rates.items():
        rate = statistics.median(found)
        sizes = " against ".join(f"{size / 1e6:g} M" for size in _sizes(name))
        yield Row(
            _NAMES[name], rate, "M events/s", runs=found, note=f"{sizes} events, a process a run, CPU time"
        )
        if name in _GOALS:
            yield Row(f"AURA by {_NAMES[name]}", own / rate, "x", _GOALS[name])


def main() -> None:
    """Run every peer and AURA; print AURA's rate by theirs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT, help="folder for peers.json")
    parser.add_argument("--one", choices=_PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--events", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(_PEERS[asked.one](asked.events)))
        return
    rows = list(_rows(asked.runs))
    show(rows, terminal())
    write(rows, asked.out / "peers.json")
    draw(asked.out, asked.out / "benchmarks.png")


if __name__ == "__main__":
    main()
