"""An emergency through a real broker: the state is saved, events go into the archive, and then it goes on."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.settings import Settings, load
from flows.sources import EVENTS_TOPIC
from operators.archive_files import Archive
from operators.archive_reader import count_rows
from operators.drain import DRAIN
from operators.partitioned import load_partitioned
from operators.progress import Progress
from service.console import Console
from service.degrade.emergency import ARCHIVE
from service.degrade.ladder import Level
from service.job import Job
from service.produce import chunks_of_file, produce

ROOT = Path(__file__).parents[3]
HURRY = 50.0


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


class Crisis(threading.Thread):
    """Damages the model of a run until events have been archived, repairs it, and stops the run once it goes on."""

    def __init__(self, job: Job, model: Path) -> None:
        super().__init__(daemon=True)
        self.job, self.model, self.levels = job, model, list[Level]()
        self.archived = 0

    def run(self) -> None:
        """Do it."""
        try:
            self._until(lambda: self.job.governed is not None and self._recorder() is not None)
            good = self.model.read_bytes()
            self.model.write_bytes(b"")
            self._until(lambda: self._level() is Level.EMERGENCY)
            folder = self.job.settings.sink.directory / ARCHIVE
            self._until(lambda: any(folder.rglob("*events*.parquet")))
            self.model.write_bytes(good)
            self._until(lambda: self._level() is Level.NONE)
            self._until(lambda: self._recorder() is not None and self._recorder().events > 0)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def _level(self) -> Level:
        assert self.job.governed is not None
        assert self.job.governed.governor is not None
        return self.job.governed.governor.ladder.level

    def _recorder(self) -> Any:
        governed = self.job.governed
        return governed.governor._recorder if governed is not None and governed.governor is not None else None

    def _until(self, reached: Callable[[], bool]) -> None:
        end_s = time.monotonic() + 60
        while not reached():
            assert time.monotonic() < end_s
            time.sleep(0.02)


@pytest.mark.timeout(300)
def test_an_emergency_and_after(kafka: str, topics: Callable[..., str], tmp_path: Path) -> None:
    """Drained, archived, gone on; stopped and started again, it ends as a replay under its decisions does."""
    model = tmp_path / "event.onnx"
    shutil.copy(ROOT / "models" / "event.onnx", model)
    settings = load("flights", {
        "input.source": "kafka", "kafka.bootstrap": kafka, "kafka.prefix": topics(),
        "sink.directory": str(tmp_path / "out"), "recovery.directory": str(tmp_path / "state"),
        "models.event.path": str(model), "degradation.enabled": "true", "degradation.every": "20ms",
        "degradation.failed": "[null, null, null, 0.5]", "degradation.memory": "[null, null, null, null]",
        "degradation.latency_s": "[null, null, null, null]", "degradation.errors": "[null, null, null, null]",
    }).settings  # fmt: skip
    events = _produce(settings)
    job = Job(
        settings,
        sink="files",
        until_end=False,
        console=Console(quiet=True),
        now=lambda: time.monotonic() * HURRY,
    )
    crisis = Crisis(job, model)
    crisis.start()
    assert job.run() == {"complete": False}
    crisis.join(60)
    assert not crisis.is_alive()
    assert count_rows(Archive.open(tmp_path / "out" / ARCHIVE)) == events
    assert job.governed is not None
    assert job.governed.governor is not None
    assert [level for _, level, _, _ in job.governed.governor.timeline] == [4, 3, 2, 1, 0]
    DRAIN.reset()  # a process of its own would begin so
    summary = Job(settings, sink="files", until_end=True, console=Console(quiet=True)).run()
    assert summary["events_in"] == events
    own = {"sink": settings.sink.model_copy(update={"directory": tmp_path / "again"})}
    own |= {"recovery": settings.recovery.model_copy(update={"directory": None})}
    decisions = tmp_path / "out" / "decisions.jsonl"
    again = Job(
        settings.model_copy(update=own),
        sink="files",
        until_end=True,
        console=Console(quiet=True),
        obeys=decisions,
    ).run()
    for name in ("digest", "digest_scored", "windowed", "shed"):
        assert again[name] == summary[name], name
