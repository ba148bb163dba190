"""`make prove`: run what each promise is shown by, one after the other, and write docs/proof.md: met or not, in plain words.

    .venv/bin/python tools/prove.py [--only NAME ...]

A proof that is left out with --only keeps its line of the last time.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE, LINES = ROOT / "docs/proof.md", ROOT / "docs/proof.json"
_BIN = Path(sys.executable).parent
_PACKAGES = ("bytewax", "numpy", "onnxruntime-gpu", "kafka-python", "polars", "pyarrow")
_LIMIT_S = 3600
_TOLD = 60  # last lines of a proof that was not kept
_AS_CSV = (
    "import pyarrow.csv as c, pyarrow.parquet as p; "
    'c.write_csv(p.read_table("data/adsb_switzerland.parquet"), "{}/flights.csv")'
)

Found = tuple[str, bool]
"""What was measured, in words, and whether that is what was promised."""


class Proof(NamedTuple):
    """A promise, the command that shows it, and how what it prints is read."""

    promise: str
    command: str
    read: Callable[["Ran"], Found]


class Ran(NamedTuple):
    """A command that has run."""

    code: int
    output: str
    seconds: float


def _line(pattern: str) -> Callable[[Ran], Found]:
    """Return what reads the last line that matches, and asks for exit code 0."""

    def read(ran: Ran) -> Found:
        lines = [line.strip(" =") for line in ran.output.splitlines() if re.search(pattern, line)]
        return (lines[-1] if lines else f"no line with {pattern}"), ran.code == 0 and bool(lines)

    return read


def _same_digest(ran: Ran) -> Found:
    digests = re.findall(r'"digest": "(\w+)"', ran.output)
    return f"{len(digests)} runs, digest {', '.join(d[:12] for d in sorted(set(digests)))}", (
        len(digests) > 1 and len(set(digests)) == 1
    )


def _all_flows(ran: Ran) -> Found:
    """Read what `aura run --json` prints last: every flow has left results, with a digest of each kind."""
    found: dict[str, Any] = json.loads(ran.output.splitlines()[-1]) if ran.code == 0 else {}
    kinds = found.get("digests", {})
    rows = ", ".join(f"{found[kind]:,} {kind}" for kind in ("cells", *kinds) if kind in found)
    words = f"{found.get('events_in', 0):,} events in {found.get('seconds', 0):.0f} s: {rows}"
    # A simulated second may break no rule.
    return words, len(kinds) > 6 and all(found[kind] for kind in kinds if kind != "violations")


def _kills(ran: Ran) -> Found:
    """Read the table of kills: until the first new result is committed, and how many were in time."""
    committed, met = (_line(pattern)(ran) for pattern in ("committed .* s$", "target"))
    return f"{committed[0]}; {met[0]}", bool(committed[1] and met[1])


def _within(limit_s: float) -> Callable[[Ran], Found]:
    return lambda ran: (f"{ran.seconds:.1f} s, at most {limit_s:g}", ran.code == 0 and ran.seconds <= limit_s)


def _passed_within(limit_s: float) -> Callable[[Ran], Found]:
    def read(ran: Ran) -> Found:
        words, passed = _line(r"\d+ passed")(ran)
        return words, passed and ran.seconds <= limit_s

    return read


def _targets(name: str) -> Callable[[Ran], Found]:
    """Return what reads the table of this name that a benchmark has left."""

    def read(ran: Ran) -> Found:
        rows: list[dict[str, Any]] = json.loads((ROOT / "out/benchmarks" / name).read_text())["rows"]
        met = [row for row in rows if row["met"]]
        missed = [
            f"{row['what']} ({row['value']:.4g} {row['unit']}, target {row['target']:g})"
            for row in rows
            if row["met"] is False or "NOT MEASURED" in row["what"]
        ]
        words = f"{len(met)} targets met, {len(missed)} not" + (f": {'; '.join(missed)}" if missed else "")
        return f"{words}; {ran.seconds:.0f} s", ran.code == 0 and not missed

    return read


def proofs(out: str) -> dict[str, Proof]:
    """Return the proofs by name; what they write goes into the folder `out`."""
    run, python = f"{_BIN}/aura run --json", f"{_BIN}/python"
    tests = f"{python} -m pytest -q"
    passed = _line(r"\d+ passed")
    return {
        "test": Proof("Every test, against real servers, within 20 minutes", "make test", _passed_within(1200)),
        "again": Proof(
            "The same events give the same digest", f"{run} --out {out}/a && {run} --out {out}/b", _same_digest
        ),
        "ways": Proof(
            "... from Parquet and CSV, on numpy and ONNX, in other batches and shards",
            f"{python} -c '{_AS_CSV.format(out)}' && {run} --out {out}/a && "
            f"{run} --out {out}/b --source {out}/flights.csv && {run} --out {out}/c --backend onnx-cpu && "
            f"{run} --out {out}/d --set input.batch_rows=1024 --set shards.count=5", _same_digest,
        ),
        "kafka": Proof(
            "... through Kafka, as frames and as rows, to files and to topics",
            f"{tests} tests/service/test_kafka_run.py", passed,
        ),
        "recomputed": Proof(
            "Windows recomputed independently equal cells.parquet row for row", f"{tests} tests/service/test_run.py", passed
        ),
        "million": Proof("A simulated million agents", f"make run PROFILE=reference RUN_ARGS='--out {out}/m'", _line("digest")),
        "replay": Proof(
            "A replay at three speeds equals live on 1, 2 and 3 processes", f"{tests} tests/service/test_replay.py", passed
        ),
        "chaos": Proof("Nothing lost, nothing doubled, under faults", "make chaos SEEDS=3", _line("lost 0, doubled 0")),
        "kill": Proof("Operational within 1 s of the death of one of three", f"{python} -m benchmarks.kill", _kills),
        "bench": Proof("The targets of speed", "make bench", _targets("results.json")),
        "peers": Proof("... and beside others", "make bench-peers", _targets("peers.json")),
        "all": Proof("Every flow over the flights", f"{run} --flows all --out {out}/all", _all_flows),
        "all_million": Proof(
            "... and over a simulated million",
            f"{run} --profile reference --flows all --set simulate.duration=1s --out {out}/am", _all_flows,
        ),
        "recall": Proof(
            "Injected violations are found, every one", f"{tests} tests/flows/test_safety.py", passed
        ),
        "doctor": Proof("aura doctor says what can run", f"{_BIN}/aura doctor", _line("full|degraded|emergency")),
        "incident": Proof(
            "Broker, fast path and model fail in turn: the ladder goes up and comes back",
            f"{tests} tests/reliability/test_incident.py", passed,
        ),
        "rules": Proof("Alerting rules, image, compose and Kubernetes are valid", f"{tests} tests/infra", passed),
        "page": Proof("The page shows what the results say", f"{tests} tests/dashboard", passed),
        "picture": Proof(
            "From a clone to a moving picture in the browser", f"{python} -m tools.first_picture", _line("moving picture")
        ),
        "picture_million": Proof(
            "... of a million agents", f"{python} -m tools.first_picture AGENTS=1000000", _line("moving picture")
        ),
        "help": Proof("aura --help answers within 0.3 s", f"{_BIN}/aura --help", _within(0.3)),
        "warm": Proof("The main job on a warm machine within 15 s", "make run", _within(15)),
    }  # fmt: skip


def prove(names: Sequence[str]) -> int:
    """Run the proofs of these names; write the page; return how many promises were not kept."""
    lines: dict[str, dict[str, Any]] = json.loads(LINES.read_text()) if LINES.exists() else {}
    with tempfile.TemporaryDirectory(prefix="aura-proof-") as out:
        for name, proof in proofs(out).items():
            if name not in names:
                continue
            print(f"{name}: {proof.promise} ...", flush=True)
            ran = _run(proof.command)
            measured, met = proof.read(ran)
            print(f"    {measured} {_word(met)}", flush=True)
            if not met:
                print("\n".join(ran.output.splitlines()[-_TOLD:]), flush=True)
            shown = proof.command.replace(f"{_BIN}/", ".venv/bin/").replace(f"{out}/", "out/")
            today = datetime.datetime.now(datetime.UTC).date().isoformat()
            lines[name] = {
                "promise": proof.promise,
                "command": shown,
                "measured": measured,
                "met": met,
                "date": today,
            }
    LINES.write_text(json.dumps(lines, indent=1) + "\n")
    PAGE.write_text(_page(lines))
    return sum(line["met"] is False for line in lines.values())


def _run(command: str) -> Ran:
    start_s = time.perf_counter()
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=os.environ | {"COLUMNS": "160"}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", check=False, timeout=_LIMIT_S,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, time.perf_counter() - start_s)


def _page(lines: dict[str, dict[str, Any]]) -> str:
    """Return the page of what was shown."""
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    columns = [
        (
            line["promise"],
            f"`{line['command']}`",
            line["measured"].replace("|", " "),
            _word(line["met"]),
            line["date"],
        )
        for line in lines.values()
    ]
    rows = [f"| {' | '.join(row)} |" for row in columns]
    head = "| promise | shown by | measured | | on |\n| --- | --- | --- | --- | --- |\n"
    return (
        f"# Proof\n\nWritten by `make prove` on {machine}: {versions}. What is not met is said here in plain words.\n\n"
        + head + "\n".join(rows) + "\n"
    )  # fmt: skip


def _word(met: bool) -> str:
    return "met" if met else "**not met**"


def main() -> int:
    """Run what is asked for; exit code 0 whether or not every promise is kept."""
    known = list(proofs("out"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=known, metavar="NAME", help=", ".join(known))
    broken = prove(parser.parse_args().only or known)
    print(
        f"{PAGE.relative_to(ROOT)}: {broken} promises not met"
        if broken
        else f"{PAGE.relative_to(ROOT)}: all met"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
