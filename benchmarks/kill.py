"""Kill one of three processes: how long until the two that are left have committed a new result.

    python -m benchmarks.kill [ROUNDS]

Each round runs 3 processes x 100,000 simulated agents to the end, kills one of them with SIGKILL at a seeded moment in
the middle, and compares the digest with that of a run that nobody disturbed. A result is committed when the part file
that holds it stands, and the epoch in which it was written is on disk.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from kernels.errors import AuraError
from operators.file_sink import PARTS
from service.cluster.status import read_status
from service.recovery.parts import progress_of, read_part

__all__ = ["Kill", "main"]

ROUNDS, TARGET_S = 20, 1.0
_PROCESSES, _AGENTS = 3, 100_000
_TICKS = 24
_LOOK_S = 0.002
_GIVE_UP_S = 60.0

# One window a tick, so that a result is due whenever all partitions have come a tick further.
_PROFILE = f"""
name = "kill"
[input]
source = "simulate"
partitions = 6
[world]
min_m = [0, 0, 0]
max_m = [1_000, 1_000, 100]
cell_m = [50, 50, 50]
[metrics]
speed_mps = {{ resolution = 0.001, low = 0, high = 1_000 }}
[event_time]
lateness = "200ms"
[windows.second]
length = "1s"
aggregates = ["count", "sum", "mean"]
[shards]
count = 48
[sink]
partitions = 3
[simulate]
agents = {_PROCESSES * _AGENTS}
tick = "1s"
duration = "{_TICKS}s"
"""


@dataclass(frozen=True)
class Kill:
    """What came of one.

    Parameters
    ----------
    process
        Its number.
    epoch
        In which it happened.
    file_s, committed_s
        Until the first new part file stood, and until its epoch was on disk.
    nodes
        As the status said after.
    digest
        Of the whole run.
    """

    process: int
    epoch: int
    file_s: float
    committed_s: float
    nodes: int
    digest: str


def main() -> int:
    """Print the distribution; return 1 where the target is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="aura-kill-") as folder:
        profile = Path(folder) / "kill.toml"
        profile.write_text(_PROFILE)
        expected = _finished(_aura("run", profile, Path(folder) / "undisturbed"))
        kills = []
        for number in range(rounds):
            kills.append(_round(number, profile, Path(folder) / f"round{number}", expected["cells"]))
            print(f"{number:3d}  {_line(kills[-1], expected['digest'])}", flush=True)
    return _report(kills, expected["digest"])


def _round(seed: int, profile: Path, out: Path, rows: int) -> Kill:
    chance = random.Random(seed)
    recovery = out / ".recovery"
    process = _aura("cluster", profile, out, "-n", str(_PROCESSES))
    due = chance.uniform(0.1, 0.5) * rows
    _wait(process, lambda: _state(recovery) == "running" and _rows(out) >= due)
    victim = chance.randrange(_PROCESSES)
    os.kill(read_status(recovery)["processes"][victim], signal.SIGKILL)
    killed_s = time.monotonic()
    _wait(process, lambda: read_status(recovery)["restarts"] == 1)
    before = _parts(out)  # of those that were killed: nobody writes just now
    _wait(process, lambda: bool(_parts(out) - before))
    file_s, epoch = time.monotonic() - killed_s, _epoch(recovery)
    _wait(process, lambda: _epoch(recovery) > epoch)
    committed_s, status = time.monotonic() - killed_s, read_status(recovery)
    return Kill(victim, epoch, file_s, committed_s, status["nodes"], _finished(process)["digest"])


def _aura(command: str, profile: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    line = [
        sys.executable,
        "-m",
        "service",
        command,
        "--profile",
        str(profile),
        "--out",
        str(out),
        "--json",
        *options,
    ]
    return subprocess.Popen(line, stdout=subprocess.PIPE, text=True)


def _finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args!r} failed")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def _wait(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    end_s = time.monotonic() + _GIVE_UP_S
    while not reached():
        if process.poll() is not None or time.monotonic() > end_s:
            process.kill()
            raise SystemExit(
                "the cluster came to its end, or to nothing, before the kill was over: the benchmark is wrong"
            )
        time.sleep(_LOOK_S)


def _state(recovery: Path) -> str:
    try:
        return str(read_status(recovery)["state"])
    except AuraError:  # it has not begun
        return "none"


def _parts(out: Path) -> set[tuple[str, int]]:
    """Return the part files, each with the time at which it was written: a name may come again."""
    found = set()
    for path in (out / PARTS).glob("cells-*.parquet"):
        with contextlib.suppress(FileNotFoundError):  # dropped on resume
            found.add((path.name, path.stat().st_mtime_ns))
    return found


def _rows(out: Path) -> int:
    """Return how many rows of results stand: how far the run has come, whatever the machine's speed."""
    found = 0
    for name, _ in _parts(out):
        with contextlib.suppress(FileNotFoundError):
            found += pq.read_metadata(out / PARTS / name).num_rows
    return found


def _epoch(recovery: Path) -> int:
    try:
        return progress_of([read_part(path) for path in (recovery / "store").glob("*.sqlite3")])
    except AuraError:  # the engine is at it
        return 0


def _line(kill: Kill, expected: str) -> str:
    same = "the digest of the undisturbed run" if kill.digest == expected else f"ANOTHER DIGEST {kill.digest}"
    return (
        f"process {kill.process} killed: a new result after {kill.file_s:.3f} s, committed after {kill.committed_s:.3f} s, "
        f"{kill.nodes} nodes, {same}"
    )


def _report(kills: Sequence[Kill], expected: str) -> int:
    """Print the table; return 1 where the target is missed."""
    print(f"\n{_PROCESSES} processes x {_AGENTS:,} agents, {os.cpu_count()} cores, {len(kills)} kills")
    for name, values in (
        ("first new result", [kill.file_s for kill in kills]),
        ("first new result committed", [kill.committed_s for kill in kills]),
    ):
        spread = "  ".join(f"{label} {value:.3f}" for label, value in _spread(values))
        print(f"  {name:28s} {spread} s")
    fast = sum(kill.committed_s <= TARGET_S for kill in kills)
    right = sum(kill.digest == expected and kill.nodes == _PROCESSES - 1 for kill in kills)
    met = fast == right == len(kills)
    print(
        f"  within {TARGET_S} s: {fast} of {len(kills)}; 2 nodes up and the same digest: {right} of {len(kills)}"
    )
    print(f"  target {len(kills)} of {len(kills)} within {TARGET_S} s: {'met' if met else 'not met'}")
    return 0 if met else 1


def _spread(values: Sequence[float]) -> list[tuple[str, float]]:
    ordered = sorted(values)
    at = {"min": 0.0, "median": 0.5, "p90": 0.9, "max": 1.0}
    return [(label, ordered[round(share * (len(ordered) - 1))]) for label, share in at.items()]


if __name__ == "__main__":
    sys.exit(main())
