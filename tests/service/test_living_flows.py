"""Population and hierarchy by the commands that a user gives: other sizes, through a broker, and after kills."""

import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from command import aura, end, start
from ending import ending

JOB = (
    "--flows", "population,hierarchy", "--profile", "distributed", "--json",
    "--set", "simulate.agents=500", "--set", "simulate.duration=20s",
    "--set", "population.neighbours=2", "--set", "levels.published=[2,3,4,6]",
)  # fmt: skip
KINDS = {"agents", "regions", "neighbours", "levels", "directives"}


def _start(out: Path, *options: str, **env: str) -> subprocess.Popen[str]:
    return start("run", *JOB, "--out", str(out), *options, **env)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The summary of an undisturbed run into files."""
    return end(_start(tmp_path_factory.mktemp("files")))


def test_the_same_digests_from_other_sizes(expected: dict[str, Any], tmp_path: Path) -> None:
    """Partitions, shards, batches and writers change nothing of any kind."""
    assert expected["digests"].keys() == KINDS
    assert all(expected[kind] > 0 for kind in KINDS)
    sizes = ("input.partitions=3", "population.shards=7", "levels.shards=2", "sink.partitions=1")
    more = [option for size in sizes for option in ("--set", size)]
    assert end(_start(tmp_path, *more))["digests"] == expected["digests"]


def test_the_same_digests_through_topics(kafka: str, expected: dict[str, Any], tmp_path: Path) -> None:
    """Read back from their topics, the results are those in files."""
    env = {"AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": f"t{uuid.uuid4().hex[:8]}."}
    aura("topics", "apply", **env)
    found = end(_start(tmp_path, "--sink", "kafka", **env))
    assert found["digests"] == expected["digests"]


def test_killed_runs_go_on(expected: dict[str, Any], tmp_path: Path) -> None:
    """After kill -9 once results have been written, the next start ends with the results of an undisturbed run."""
    recovery = ("--set", f"recovery.directory={tmp_path / 'recovery'}", "--set", "recovery.epoch=50ms")
    parts = tmp_path / "out" / ".parts"
    with ending(_start(tmp_path / "out", *recovery)) as process:
        while process.poll() is None and not any(parts.glob("levels-*.parquet")):
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it was killed"
    assert end(_start(tmp_path / "out", *recovery))["digests"] == expected["digests"]
