"""`aura run` with a recovery directory: stopped, or killed, it goes on, and the results are those of an undisturbed run."""

import json
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from command import disturb, end, start

from operators.kafka_tables import read_outputs
from service.declared_topics import DECLARED, load_topics
from service.topics import apply

JOB = (
    "--profile",
    "distributed",
    "--set",
    "simulate.agents=4000",
    "--set",
    "simulate.duration=60s",
    "--json",
)


SLOWLY = ("--set", "input.speed=4")  # a quarter of a minute: it does not end before it is disturbed


def _start(out: Path, *options: str, **env: str) -> subprocess.Popen[str]:
    return start("run", *JOB, "--out", str(out), *options, **env)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The summary of a run that nobody disturbs."""
    return end(_start(tmp_path_factory.mktemp("undisturbed")))


def _same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in (
        "digest",
        "digest_scored",
        "events_in",
        "windowed",
        "late",
        "dead_letters",
        "cells",
        "alerts",
    ):
        assert found[name] == expected[name], name


def test_stopped_and_killed_runs_go_on(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    """SIGTERM stops a run where it is, with exit code 0; after it and after two kill -9 the results are the same."""
    recovery = tmp_path / "recovery"
    options = ("--set", f"recovery.directory={recovery}")
    code, printed = disturb(_start(tmp_path / "out", *options, *SLOWLY), recovery, 0.4, signal.SIGTERM)
    assert (code, json.loads(printed)) == (0, {"complete": False})
    for after_s in (0.1, 0.6):
        code, _ = disturb(_start(tmp_path / "out", *options, *SLOWLY), recovery, after_s, signal.SIGKILL)
        assert code == -signal.SIGKILL
    _same(end(_start(tmp_path / "out", *options)), undisturbed)


def test_each_result_is_in_its_topic_once(kafka: str, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    """Into Kafka, after three kill -9, no result is missing, none is there twice, and the digest is the same."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    apply({"bootstrap_servers": kafka}, load_topics(DECLARED), prefix=prefix)
    env = {"AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": prefix}
    recovery = tmp_path / "recovery"
    options = ("--sink", "kafka", "--set", f"recovery.directory={recovery}")
    for after_s in (0.2, 0.7, 0.4):
        code, _ = disturb(
            _start(tmp_path / "out", *options, *SLOWLY, **env), recovery, after_s, signal.SIGKILL
        )
        assert code == -signal.SIGKILL
    _same(end(_start(tmp_path / "out", *options, **env)), undisturbed)
    found = read_outputs({"bootstrap_servers": kafka}, "cells", prefix=prefix)
    about = [(key, headers["part"], headers["revision"]) for key, headers, _ in found]
    assert len(about) == len(set(about)) > 100
