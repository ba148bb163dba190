"""Decisions in a cluster of real processes: all follow them from the same border on, and a replay of them is the run."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import pyarrow.parquet as pq
import pytest
from ending import ending
from onnx import numpy_helper

from flows.settings import Settings, load
from flows.sources import EVENTS_TOPIC
from kernels.errors import AuraError
from operators.archive_files import Archive
from operators.archive_reader import count_rows
from operators.decisions import DecisionLog, Schedule
from operators.partitioned import load_partitioned
from operators.progress import Progress
from service.cluster.status import read_status
from service.commands.models import swap_model
from service.console import Console
from service.degrade.emergency import ARCHIVE
from service.job import Job
from service.produce import chunks_of_file, produce

ROOT = Path(__file__).parents[2]
NEVER = "[null, null, null, null]"
WAIT_S = 90.0
OLD = load("flights").settings.models["cell"].sha256

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="the supervisor asks Linux which ports listen"),
]


def _options(folder: Path) -> dict[str, str]:
    found = {f"degradation.{signal}": NEVER for signal in ("memory", "latency_s", "errors")}
    return found | {
        "degradation.enabled": "true", "degradation.every": "50ms", "degradation.stay": "500ms",
        "degradation.failed": "[null, 0.5, null, null]", "models.event.path": str(folder / "event.onnx"),
        "sink.directory": str(folder / "out"), "recovery.directory": str(folder / "state"),
        "recovery.epoch": "200ms",
    }  # fmt: skip


@contextmanager
def _cluster(folder: Path, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """`aura cluster` of two processes; whatever is left of it is killed."""
    options = _options(folder) | {name.replace("__", "."): value for name, value in more.items()}
    sets = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    line = [sys.executable, "-m", "service", "cluster", "-n", "2", "--grace", "60", "--json", *words, *sets]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with ending(process):
        yield process


def _until(process: subprocess.Popen[str], reached: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + WAIT_S
    while not (found := reached()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end_s
        time.sleep(0.02)
    return found


def _borders(settings: Settings) -> int:
    """Return how far the flow is; the beginning of time, before it has begun."""
    path = settings.recovery.directory / "store" / "decisions.reached"  # type: ignore[operator]
    data = path.read_bytes() if path.exists() else b""
    return int.from_bytes(data, "little", signed=True) if data else -(2**62)


def _log(settings: Settings) -> DecisionLog:
    return DecisionLog(settings.recovery.directory / "store" / "decisions.jsonl", 1, obeyed=True)  # type: ignore[operator]


def _levels(settings: Settings) -> list[int]:
    return [each.level for each in _log(settings).schedule.decisions]


def _other(path: Path) -> str:
    """Write a model of cells that scores a little differently; return its hash."""
    model = onnx.load(ROOT / "models" / "cell.onnx")
    weights = next(each for each in model.graph.initializer if len(each.dims) == 2)
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * 1.25, weights.name))
    path.write_bytes(model.SerializeToString())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_level_and_a_model_hold_from_the_same_border_on_all(tmp_path: Path) -> None:
    """A damaged file raises the level, mended it falls; a model is swapped; a drain, and on: the rows have both, as replayed."""
    shutil.copy(ROOT / "models" / "event.onnx", tmp_path)
    good, new = (tmp_path / "event.onnx").read_bytes(), _other(tmp_path / "cell.onnx")
    settings = load("flights", _options(tmp_path)).settings
    with _cluster(tmp_path, input__speed="720") as process:
        _until(process, lambda: _borders(settings) > -(2**61))
        _until(process, lambda: _state(settings) == "running")
        assert read_status(settings.recovery.directory)["nodes"] == 2  # type: ignore[arg-type]
        (tmp_path / "event.onnx").write_bytes(good[:1000])
        _until(process, lambda: _levels(settings)[-1:] == [2])
        (tmp_path / "event.onnx").write_bytes(good)
        swap = swap_model(settings, "cell", tmp_path / "cell.onnx", new)
        _until(process, lambda: _levels(settings)[-1] == 0)
        last_us = max(swap.from_us, _log(settings).schedule.decisions[-1].from_us)
        _until(process, lambda: _borders(settings) > last_us)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, errors
    with _cluster(tmp_path, input__speed="1000000") as process:
        text, errors = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, errors
    summary, out = json.loads(text), tmp_path / "out"
    schedule = DecisionLog(out / "decisions.jsonl", settings.border_us, obeyed=True).schedule
    _check(out, schedule, new, swap.from_us)
    again = load("flights", {"sink.directory": str(tmp_path / "again")}).settings
    found = Job(
        again, sink="files", until_end=True, console=Console(quiet=True), obeys=out / "decisions.jsonl"
    ).run()
    for key in ("digest", "digest_scored", "alerts", "shed", "windowed", "events_in"):
        assert found[key] == summary[key], key
    for kind in ("cells", "alerts"):
        files = [(folder / f"{kind}.parquet").read_bytes() for folder in (out, tmp_path / "again")]
        assert files[0] == files[1], kind


def _check(out: Path, schedule: Schedule, new: str, swapped_us: int) -> None:
    """Each row has the level that was the highest in its window, and the model of its time, whoever made it."""
    rows = pq.read_table(out / "cells.parquet").to_pylist()
    assert {row["degradation"] for row in rows} >= {0, 2}  # that it is minor may last for no window
    assert {row["model"] for row in rows} == {OLD, new}
    for row in rows:
        assert row["degradation"] == schedule.worst(row["start_us"], row["end_us"])
        assert row["model"] == (new if row["start_us"] >= swapped_us else OLD)
    for row in pq.read_table(out / "alerts.parquet").to_pylist():
        assert row["degradation"] == schedule.at(row["time_us"]).level


def _produce(settings: Settings) -> int:
    given = load("flights").settings.input
    assert given.mapping is not None
    parts = load_partitioned(
        ROOT / "data" / "adsb_switzerland.parquet", given.mapping.to_mapping(), 8, as_is=False
    )
    prefix = settings.kafka.prefix
    sent = produce(
        settings.kafka.client_options(), prefix + EVENTS_TOPIC, [chunks_of_file(part) for part in parts],
        ids_topic=prefix + "aura.ids", progress=Progress(),
    )  # fmt: skip
    return sent.events


def test_an_emergency_of_a_cluster(kafka: str, topics: Callable[..., str], tmp_path: Path) -> None:
    """All processes drain, events go into the archive unread, and once it is over all go on; a replay is the run."""
    shutil.copy(ROOT / "models" / "event.onnx", tmp_path)
    model = tmp_path / "event.onnx"
    good = model.read_bytes()
    kafka_options = {"input.source": "kafka", "kafka.bootstrap": kafka, "kafka.prefix": topics()}
    kafka_options |= {"degradation.failed": "[null, null, null, 0.5]"}
    settings = load("flights", _options(tmp_path) | kafka_options).settings
    events, archive = _produce(settings), tmp_path / "out" / ARCHIVE
    with _cluster(tmp_path, **kafka_options) as process:
        _until(process, lambda: _state(settings) == "running")
        before = read_status(settings.recovery.directory)  # type: ignore[arg-type]
        model.write_bytes(good[:1000])
        _until(process, lambda: _state(settings) == "emergency")
        assert 4 in _levels(settings)
        assert not any(Path(f"/proc/{pid}").exists() for pid in before["processes"])
        _until(process, lambda: any(archive.rglob("*events*.parquet")))
        model.write_bytes(good)
        _until(process, lambda: _state(settings) == "running")
        found = read_status(settings.recovery.directory)  # type: ignore[arg-type]
        assert (found["nodes"], found["restarts"]) == (2, 0)
        _until(process, lambda: _levels(settings)[-1] == 0)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, errors
    assert count_rows(Archive.open(archive)) == events
    with _cluster(tmp_path, "--until-end", **kafka_options) as process:
        text, errors = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, errors
    summary = json.loads(text)
    assert summary["events_in"] == events
    given = {key: value for key, value in kafka_options.items() if not key.startswith("degradation")}
    again = load("flights", given | {"sink.directory": str(tmp_path / "again")}).settings
    decisions = tmp_path / "out" / "decisions.jsonl"
    replay = Job(again, sink="files", until_end=True, console=Console(quiet=True), obeys=decisions).run()
    for name in ("digest", "digest_scored", "windowed", "shed"):
        assert replay[name] == summary[name], name


def _state(settings: Settings) -> str:
    try:
        return str(read_status(settings.recovery.directory)["state"])  # type: ignore[arg-type]
    except AuraError:
        return "none"
