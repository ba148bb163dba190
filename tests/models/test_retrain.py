"""Training on an archive: what is read, what passes, and what is left alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from kernels.errors import ConfigError
from kernels.schema import Columns
from kernels.scorer import Scorer
from models import retrain as module
from models.flights import read_flights
from models.retrain import main, read_events, retrain
from operators.archive import ArchiveWriter
from operators.archive_files import Archive
from operators.batch import Origin
from operators.decoded import Decoded

MODEL = Path(module.__file__).with_name("event.onnx")
GROUP = 20_000


@pytest.fixture(scope="module")
def flights() -> Columns:
    """All bundled flights."""
    return read_flights()


@pytest.fixture(scope="module")
def archive(flights: Columns, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The flights in an archive of two partitions, as an archiver leaves them."""
    made = Archive.make(tmp_path_factory.mktemp("archive") / "a", "events", 2, tuple(flights))
    for partition in range(2):
        own = np.flatnonzero(flights["agent_id"] % 2 == partition)
        writer = ArchiveWriter(made, partition, start=0, max_bytes=10**9, max_span_us=10**15)
        for offset, rows in enumerate(np.array_split(own, range(GROUP, len(own), GROUP))):
            columns = {name: values[rows] for name, values in flights.items()}
            place = Origin.of_record("events", partition, offset)
            writer.append([Decoded(columns, place, columns["time_us"], {}, [])], offset + 1)
        writer.close()
    return made


def test_an_archive_is_read_whole_and_in_order(flights: Columns, archive: Archive) -> None:
    """The partitions of an archive come together as the events that were archived, in order of time and agent."""
    found = read_events(archive)
    assert found.keys() == flights.keys()
    assert all(np.array_equal(found[name], values, equal_nan=True) for name, values in flights.items())


def test_a_model_trained_on_an_archive_is_as_good(archive: Archive, tmp_path: Path) -> None:
    """The command trains, judges both models on what was held out, and writes the model with its hash and figures."""
    assert main([str(archive.folder), "--out", str(tmp_path)]) == 0
    said = json.loads((tmp_path / "event.json").read_text())
    scorer = Scorer.load((tmp_path / "event.onnx").read_bytes(), sha256=said["sha256"])
    assert scorer.model.training == said["training"]
    assert "archive of events" in said["training"]
    assert said["candidate"]["auroc"] > 0.99
    assert said["candidate"]["alerts_per_1000"] <= 2
    assert said["incumbent"]["sha256"] == Scorer.load(MODEL.read_bytes()).sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["event.json", "event.onnx"]


def test_a_worse_model_is_not_written(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that finds less than the one in use leaves the folder as it was, and the command fails."""
    monkeypatch.setattr(module, "_HIDDEN", (1,))
    monkeypatch.setattr(module.retrain, "__kwdefaults__", {"epochs": 1})
    (tmp_path / "event.onnx").write_bytes(b"the last good one")
    assert main([str(archive.folder), "--out", str(tmp_path)]) == 1
    assert (tmp_path / "event.onnx").read_bytes() == b"the last good one"
    assert not (tmp_path / "event.json").exists()


def test_what_cannot_be_judged_is_refused(flights: Columns, tmp_path: Path) -> None:
    """Too few events, missing columns and an empty archive are each one clear error."""
    incumbent = Scorer.load(MODEL.read_bytes())
    few = {name: values[:1000] for name, values in flights.items()}
    with pytest.raises(
        ConfigError, match="events are held out to judge a model by, at least 1200 are needed"
    ):
        retrain(few, incumbent, source="a test")
    with pytest.raises(ConfigError, match="has no columns climb_mps"):
        retrain(
            {name: values for name, values in flights.items() if name != "climb_mps"},
            incumbent,
            source="a test",
        )
    with pytest.raises(ConfigError, match="holds no events"):
        read_events(Archive.make(tmp_path / "empty", "events", 1, tuple(flights)))
