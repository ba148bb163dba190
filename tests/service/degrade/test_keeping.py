"""What keeps a run going after failures and through an emergency."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.models import ModelFiles, damaged_models
from flows.settings import Settings, load
from kernels.errors import AuraError, ConfigError
from operators.drain import DRAIN
from service.degrade.canary import ATTEMPTS, Backoff
from service.degrade.keeping import keep_running


class Starts:
    """Starts that end one after the other as told."""

    def __init__(self, *ends: Any, progress: Callable[[int], int] = lambda start: 0) -> None:
        self._ends, self._progress, self.count = list(ends), progress, 0

    def run(self) -> Any:
        """Be one start."""
        end = self._ends[min(self.count, len(self._ends) - 1)]
        self.count += 1
        if isinstance(end, Exception):
            raise end
        return end

    def progress(self) -> int:
        """The epoch that is done."""
        return self._progress(self.count)


def _keep(
    starts: Starts, governor: Any = None, archive: Any = None, stopped: threading.Event | None = None
) -> Any:
    return keep_running(
        starts.run,
        governor=governor or SimpleNamespace(failures={}, in_emergency=False),
        progress=starts.progress,
        archive=archive or (lambda over: None),
        stopped=stopped or threading.Event(),
        tell=lambda words: None,
        backoff=Backoff(first_s=0.001, most_s=0.01),
    )


FAILED = AuraError("no broker answers")


def test_goes_on_after_failures() -> None:
    """A start that fails is followed by another, to the end; the failure is a signal meanwhile."""
    governor = SimpleNamespace(failures={}, in_emergency=False)
    starts = Starts(FAILED, FAILED, {"digest": "x"})
    assert _keep(starts, governor) == {"digest": "x"}
    assert starts.count == 3
    assert governor.failures == {"flow": "no broker answers"}


def test_gives_up_without_progress() -> None:
    """Five in a row without an epoch done in between end it, with the reason."""
    starts = Starts(FAILED)
    with pytest.raises(AuraError, match="no broker answers"):
        _keep(starts)
    assert starts.count == ATTEMPTS


def test_progress_begins_the_count_anew() -> None:
    """Whoever gets further each time may fail more often than that."""
    starts = Starts(*[FAILED] * 12, {"digest": "x"}, progress=lambda start: start)
    assert _keep(starts) == {"digest": "x"}


def test_a_mistake_ends_it_at_once() -> None:
    """What no start can change is not tried again."""
    starts = Starts(ConfigError("no such column"))
    with pytest.raises(ConfigError):
        _keep(starts)
    assert starts.count == 1


def test_a_stop_is_a_stop() -> None:
    """A run that was asked to stop is not started again."""
    stopped = threading.Event()
    stopped.set()
    starts = Starts(None, {"digest": "x"})
    assert _keep(starts, stopped=stopped) is None
    assert starts.count == 1


def test_an_emergency_is_sat_out() -> None:
    """Drained for an emergency, events go into the archive until the level falls; then it goes on where it was."""
    governor = SimpleNamespace(failures={}, in_emergency=True)
    archived = []
    DRAIN.request()

    def archive(over: threading.Event) -> None:
        archived.append(over.is_set())
        governor.in_emergency = False
        assert over.wait(10)

    try:
        starts = Starts(None, {"digest": "x"})
        assert _keep(starts, governor, archive) == {"digest": "x"}
        assert archived == [False]
        assert not DRAIN.requested
    finally:
        DRAIN.reset()


def _with_model(folder: Path) -> tuple[Path, Settings]:
    """Return the file of a model and settings that name it, with a recovery directory beside it."""
    file = folder / "event.onnx"
    shutil.copy(Path(__file__).parents[3] / "models" / "event.onnx", file)
    (folder / "state").mkdir(mode=0o700)
    options = {"models.event.path": str(file), "recovery.directory": str(folder / "state")}
    return file, load("flights", options).settings


def test_processes_keep_the_same_copy_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a cluster start together: one that is overtaken before its copy is in place does not fail."""
    _, settings = _with_model(tmp_path)
    replace = Path.replace

    def overtaken(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        ModelFiles(settings).check()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", overtaken)
    ModelFiles(settings).check()
    assert damaged_models(settings) == {}
    assert {each.suffix for each in (tmp_path / "state" / "models").iterdir()} == {".onnx"}


def test_the_good_copy_of_a_model_stays(tmp_path: Path) -> None:
    """A model's file that is damaged after it was accepted is refused, and the copy of the good one takes its place."""
    file, settings = _with_model(tmp_path)
    good = ModelFiles(settings)
    good.check()
    assert damaged_models(settings) == {}
    for damage in (b"", file.read_bytes()[:1000], b"\0" * 5000):
        file.write_bytes(damage)
        assert "SHA-256" in damaged_models(settings)["event"]
        again = ModelFiles(settings)
        again.check()
        assert again._files == good._files
    with pytest.raises(ConfigError, match="SHA-256"):
        ModelFiles(load("flights", {"models.event.path": str(file)}).settings)
