"""`aura doctor` on a set-up that works and on ones that are broken, with a real broker."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import aura

from flows.settings import load
from service.health.checks import check_clock
from service.health.doctor import examine


def _states(found: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["state"] for each in found["components"]}


def _doctor(*options: str, **env: str) -> tuple[int, dict[str, Any]]:
    done = aura("doctor", "--json", *options, check=False, **env)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_a_healthy_set_up_is_full(kafka: str, topics: Callable[..., str]) -> None:
    """With a broker, the topics as declared and the models in place everything can run, and has been measured."""
    env = {"AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": topics()}
    code, found = _doctor("--source", "kafka", "--sink", "kafka", **env)
    assert (code, found["mode"], found["overall"]) == (0, "full", "healthy")
    assert set(found["runs"].values()) == {True}
    by_name = {each["name"]: each for each in found["components"]}
    assert by_name["broker"]["required"]
    assert by_name["broker"]["performance"]["round_trip_s"] > 0
    assert by_name["kernels"]["performance"]["million_events_per_s"] > 0
    assert by_name["models"]["performance"]["event_million_rows_per_s"] > 0


def test_without_topics_it_says_how_to_make_them(kafka: str) -> None:
    """A broker without the topics cannot run a flow through Kafka, and files go on."""
    env = {"AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": "never-made."}
    code, found = _doctor("--source", "kafka", **env)
    assert (code, found["mode"]) == (1, "emergency")
    assert found["runs"] == {"aura run": True, "aura run --source kafka": False, "aura cluster": True}
    (topics,) = (each for each in found["components"] if each["name"] == "topics")
    assert "aura topics apply" in topics["todo"]


def test_a_broken_set_up(tmp_path: Path) -> None:
    """No broker, a model of another hash, an open recovery folder: each is named, with what to do; one report tells all."""
    (tmp_path / "state").mkdir(mode=0o755)
    (tmp_path / "state").chmod(0o755)
    options = {
        "kafka.bootstrap": "127.0.0.1:1",
        "models.event.sha256": "0" * 64,
        "recovery.directory": str(tmp_path / "state"),
    }
    found = examine(load("flights", options).settings, sink="files")
    states = _states(found)
    assert {name for name, state in states.items() if state == "failed"} == {
        "broker", "topics", "models", "recovery store",
    }  # fmt: skip
    assert (found["mode"], found["overall"]) == ("emergency", "critical")
    assert not any(found["runs"].values())
    assert all(each["todo"] for each in found["components"] if each["state"] == "failed")


def test_without_a_broker_files_run(tmp_path: Path) -> None:
    """A broker that nothing needs may be away: degraded, and the main job can run."""
    options = {"kafka.bootstrap": "127.0.0.1:1", "sink.directory": str(tmp_path)}
    found = examine(load("flights", options).settings, sink="files")
    assert (found["mode"], found["overall"]) == ("degraded", "degraded")
    assert found["runs"]["aura run"]


@pytest.mark.parametrize(("now_s", "state"), [(0.0, "failed"), (2e9, "healthy")])
def test_a_clock_that_was_never_set(now_s: float, state: str) -> None:
    """A clock in 1970 has failed."""
    assert check_clock(lambda: now_s, lambda: None).state == state
