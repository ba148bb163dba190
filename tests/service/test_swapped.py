"""A model swapped while a flow runs: each result is of one model and names it, and a replay under the decisions is the run."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import onnx
import pyarrow.parquet as pq
import pytest
from ending import ending
from onnx import numpy_helper

from flows.settings import Settings, load
from kernels.errors import AuraError, ConfigError
from operators.decisions import DecisionLog
from service.commands.models import swap_model
from service.console import Console
from service.job import Job
from service.recovery.store import Store

ROOT = Path(__file__).parents[2]
NEVER = "[null, null, null, null]"
OLD = {name: load("flights").settings.models[name].sha256 for name in ("event", "cell")}


def _other(name: str, path: Path) -> str:
    """Write a model with the shapes of `name` that scores a little differently; return its hash."""
    model = onnx.load(ROOT / "models" / f"{name}.onnx")
    weights = next(each for each in model.graph.initializer if len(each.dims) == 2)
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * 1.25, weights.name))
    path.write_bytes(model.SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _options(folder: Path) -> dict[str, str]:
    found = {f"degradation.{signal}": NEVER for signal in ("memory", "latency_s", "errors", "failed")}
    return found | {
        "degradation.enabled": "true", "degradation.every": "50ms", "input.speed": "14400",
        "sink.directory": str(folder / "out"), "recovery.directory": str(folder / "state"),
        "recovery.epoch": "200ms",
    }  # fmt: skip


def _start(options: dict[str, str]) -> subprocess.Popen[str]:
    sets = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    line = [sys.executable, "-m", "service", "run", "--json", *sets]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _await_borders(settings: Settings, beyond_us: int) -> int:
    """Wait until the flow has passed borders beyond a time; return how far it is."""
    path, end_s = settings.recovery.directory / "store" / "decisions.reached", time.monotonic() + 60  # type: ignore[operator]
    while True:
        data = path.read_bytes() if path.exists() else b""
        if data and (reached_us := int.from_bytes(data, "little", signed=True)) > beyond_us:
            return reached_us
        assert time.monotonic() < end_s
        time.sleep(0.02)


def _swap(settings: Settings, folder: Path, name: str, sha256: str) -> Any:
    return swap_model(settings, name, folder / f"{name}.onnx", sha256)


@pytest.mark.timeout(200)
def test_swapped_under_load(tmp_path: Path) -> None:
    """A damaged one is refused and the last good one stays; a good one scores from its border on; killed, it goes on so."""
    options, new = _options(tmp_path), {name: _other(name, tmp_path / f"{name}.onnx") for name in OLD}
    settings = load("flights", options).settings
    with ending(_start(options)) as process:
        reached_us = _await_borders(settings, -(2**62))
        (tmp_path / "bad.onnx").write_bytes((tmp_path / "event.onnx").read_bytes()[:1000])
        with pytest.raises(ConfigError, match="SHA-256"):
            swap_model(settings, "event", tmp_path / "bad.onnx", new["event"])
        torn = hashlib.sha256((tmp_path / "bad.onnx").read_bytes()).hexdigest()
        with pytest.raises(ConfigError, match=r"models\.event"):
            swap_model(settings, "event", tmp_path / "bad.onnx", torn)
        with pytest.raises(ConfigError, match="role"):
            swap_model(settings, "cell", tmp_path / "event.onnx", new["event"])
        swaps = {name: _swap(settings, tmp_path, name, new[name]) for name in OLD}
        assert min(swap.from_us for swap in swaps.values()) > reached_us
        _await_borders(settings, max(swap.from_us for swap in swaps.values()))
        process.kill()
    changed = options | {f"models.{name}.path": str(tmp_path / f"{name}.onnx") for name in OLD}
    changed |= {f"models.{name}.sha256": new[name] for name in OLD} | {"input.speed": "1000000"}
    with ending(_start(changed)) as process:
        text, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    summary = json.loads(text)
    for table, name, at in (("cells", "cell", "start_us"), ("alerts", "event", "time_us")):
        rows = pq.read_table(tmp_path / "out" / f"{table}.parquet").to_pylist()
        for row in rows if table == "cells" else [row for row in rows if row["kind"] == "agent"]:
            assert row["model"] == (new if row[at] >= swaps[name].from_us else OLD)[name]
        assert {row["model"] for row in rows} >= {OLD[name], new[name]}
    again = load("flights", {"sink.directory": str(tmp_path / "again")}).settings
    found = Job(
        again,
        sink="files",
        until_end=True,
        console=Console(quiet=True),
        obeys=tmp_path / "out" / "decisions.jsonl",
    ).run()
    for key in ("digest", "digest_scored", "alerts"):
        assert found[key] == summary[key], key
    plain = load("flights", {"sink.directory": str(tmp_path / "plain")}).settings
    without = Job(plain, sink="files", until_end=True, console=Console(quiet=True)).run()
    assert (without["digest"] == summary["digest"], without["digest_scored"] == summary["digest_scored"]) == (
        True,
        False,
    )


def test_another_model_needs_a_decision(tmp_path: Path) -> None:
    """A run does not go on with a model that it did not begin with, unless the log says so; nobody swaps without a run."""
    path = tmp_path / "event.onnx"
    options, sha256 = _options(tmp_path), _other("event", path)
    settings = load("flights", options).settings
    with pytest.raises(AuraError, match="no flow that follows decisions"):
        swap_model(settings, "event", path, sha256)
    Store.open(settings, writers=1).close()
    changed = load(
        "flights", options | {"models.event.path": str(path), "models.event.sha256": sha256}
    ).settings
    with pytest.raises(ConfigError, match="another configuration"):
        Store.open(changed, writers=1)
    log = DecisionLog(tmp_path / "state" / "store" / "decisions.jsonl", settings.border_us)
    log.cross(10**15)
    swap = swap_model(settings, "event", path, sha256)
    assert list(log.schedule.models("event").values()) == [OLD["event"], sha256]
    assert swap.from_us % settings.border_us == 0
    Store.open(changed, writers=1).close()
    path.write_bytes(os.urandom(100))
    with pytest.raises(ConfigError, match="SHA-256"):
        swap_model(settings, "event", path, "0" * 64)
