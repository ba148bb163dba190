"""The producer and the consumer that need nothing but kafka-python, with a real broker and the flow between them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kernels.hashing import partition_of
from operators.kafka_reader import read_committed

ROOT = Path(__file__).resolve().parents[2]


def call(*arguments: str, **env: str) -> str:
    """Run a program of this checkout; return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["produce.py", "consume.py"])
def test_they_are_short_and_need_one_package(name: str) -> None:
    """At most 20 lines, and of what is no part of Python only kafka-python."""
    text = (ROOT / "examples" / name).read_text()
    assert len(text.splitlines()) <= 20
    modules = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
    assert modules - sys.stdlib_module_names == {"kafka"}


def test_events_go_in_and_results_come_out(kafka: str, topics: Callable[..., str], tmp_path: Path) -> None:
    """Each agent's events are in its own partition; the consumer prints all of them again, as counts of cells."""
    prefix = topics()
    env = {"AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": prefix}
    call("examples/produce.py", kafka, f"{prefix}aura.events")
    records = [
        *read_committed({"bootstrap_servers": [kafka]}, {(f"{prefix}aura.events", k): 0 for k in range(8)})
    ]
    agents = np.array([int(record.key) for record in records], np.uint64)
    assert partition_of(agents, 8).tolist() == [record.partition for record in records]
    run = (
        "-m",
        "service",
        "run",
        "--profile",
        "minimal",
        "--source",
        "kafka",
        "--sink",
        "kafka",
        "--until-end",
    )
    call(*run, "--set", "sink.json_rows=true", "--out", str(tmp_path), **env)
    lines = call("examples/consume.py", kafka, f"{prefix}aura.cells").splitlines()
    counts = [re.fullmatch(r"(\w+) \d+ cell [\d,]+: (\d+) events", line) for line in lines]
    found: dict[str, int] = {}
    for match in counts:
        assert match is not None
        found[match[1]] = found.get(match[1], 0) + int(match[2])
    assert found["second"] == len(records) == 1000
