"""The governor, driven by a clock of the test's: from signals to decisions."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.settings import load
from operators.decisions import DecisionLog, decode
from operators.drain import DRAIN
from operators.kafka_reader import read_committed
from operators.routed import Trial
from service.degrade.canary import Phase
from service.degrade.governor import Governor
from service.degrade.ladder import Level
from service.degrade.publisher import Publisher
from service.observe.recorder import Recorder


class Driven:
    """A governor with a clock and a flow that a test holds."""

    def __init__(self, folder: Path, publisher: Publisher | None = None, **options: str) -> None:
        self.now_s, given = (
            0.0,
            {"sink.directory": str(folder), "degradation.memory": "[null, null, null, null]"},
        )
        settings = load("flights", given | {f"degradation.{k}": v for k, v in options.items()}).settings
        self.log = DecisionLog(folder / "decisions.jsonl", settings.border_us)
        self.governor = Governor(settings, self.log, publisher=publisher, now=lambda: self.now_s)
        self.recorder, self.trial, self.lost = Recorder({}), Trial(), dict[str, str]()
        self.restored: list[str] = []
        bridge = SimpleNamespace(lost=self.lost, restore=self._restore)
        self.governor.attach(self.recorder, SimpleNamespace(backend=bridge, trial=self.trial))  # type: ignore[arg-type]

    def _restore(self, name: str) -> None:
        self.restored.append(name)
        self.lost.pop(name)

    def run(self, seconds: int, *, calls: int = 0, errors: int = 0) -> None:
        """Let seconds pass, in each of which the fast path is called."""
        for _ in range(seconds):
            self.now_s += 1
            self.trial.calls += calls
            self.trial.errors += errors
            self.governor.step()

    @property
    def decided(self) -> list[tuple[int, int]]:
        """Level and share of each decision, of one border the last."""
        return [(d.level, d.share) for d in map(decode, self.log.path.read_bytes().splitlines())]


def test_errors_raise_the_level_and_quiet_lowers_it(tmp_path: Path) -> None:
    """Dead letters above a twentieth of the events bring major; half a minute of quiet each, and it is none again."""
    driven = Driven(tmp_path)
    driven.recorder.events = 1000
    driven.recorder.dead_letters["decode", "truncated"] = 100
    driven.run(1)
    assert driven.governor.ladder.level is Level.MAJOR
    driven.run(100)
    assert driven.governor.ladder.level is Level.NONE
    assert driven.decided == [(2, 100), (1, 100), (0, 100)]
    assert "errors is 0.1, above 0.05" in driven.log.path.read_text()


def test_a_log_that_cannot_be_written_is_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The governor goes on, and decides once there is room again."""
    driven = Driven(tmp_path)
    driven.recorder.events, driven.recorder.dead_letters["decode", "truncated"] = 1000, 100

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(DecisionLog, "_append", full)
        driven.run(1)
        assert "No space left" in driven.governor.failures["decisions"]
    driven.run(1)
    assert driven.governor.failures == {}
    assert driven.decided == [(2, 100)]


def test_a_lost_path_comes_back_by_degrees(tmp_path: Path) -> None:
    """Lost: none of the models' work goes there, and the level is minor. Well again: 10, 25, 50, 75, 100 %."""
    driven = Driven(tmp_path)
    driven.lost["onnx-cuda"] = "CUDA failure 700"
    driven.run(1)
    assert (driven.governor.ladder.level, driven.governor.canary.share) == (Level.MINOR, 0)
    assert driven.governor.report()["active_fallbacks"] == [
        "numpy for onnx-cuda",
        "models: 0 % on the fast path, waiting",
    ]
    driven.run(200, calls=50)
    assert driven.restored == ["onnx-cuda"]
    assert driven.governor.canary.phase is Phase.WELL
    shares = [share for _, share in driven.decided]
    assert [share for share, before in zip(shares, [None, *shares], strict=False) if share != before] == [
        0,
        10,
        25,
        50,
        75,
        100,
    ]


def test_disagreement_sends_it_back(tmp_path: Path) -> None:
    """A path that gives other scores than numpy on trial goes back, as one that raises does."""
    driven = Driven(tmp_path)
    driven.lost["onnx-cuda"] = "lost"
    driven.run(80, calls=50)
    assert driven.governor.canary.share == 25
    driven.run(1, calls=50, errors=20)
    assert driven.governor.canary.share == 0


def test_a_later_start_begins_on_the_level_that_was(tmp_path: Path) -> None:
    """Who starts again does not forget how bad it was."""
    driven = Driven(tmp_path)
    driven.recorder.events, driven.recorder.dead_letters["a", "b"] = 100, 50
    driven.run(1)
    assert Driven(tmp_path).governor.ladder.level is Level.CRITICAL


def test_an_emergency_drains(tmp_path: Path) -> None:
    """At emergency the sources are asked to stop, if there is a place for the state."""
    driven = Driven(tmp_path, failed="[null, null, null, 0.5]")
    driven.lost["onnx-cuda"] = "lost"
    driven.governor.settings = driven.governor.settings.model_copy(
        update={"recovery": driven.governor.settings.recovery.model_copy(update={"directory": tmp_path})}
    )
    try:
        driven.run(1)
        assert driven.governor.ladder.level is Level.EMERGENCY
        assert DRAIN.requested
    finally:
        DRAIN.reset()


def test_brokers_are_told(kafka: str, topics: Callable[..., str], tmp_path: Path) -> None:
    """Each decision is a record in aura.control, the health the last word of its key in aura.health."""
    prefix = topics()
    driven = Driven(tmp_path, Publisher({"bootstrap_servers": [kafka]}, prefix))
    driven.lost["onnx-cuda"] = "lost"
    driven.run(1)
    control = list(read_committed({"bootstrap_servers": [kafka]}, {(f"{prefix}aura.control", 0): 0}))
    assert (
        [(d.level, d.share) for d in (decode(record.value) for record in control)]
        == driven.decided
        == [(1, 0)]
    )
    *_, last = read_committed({"bootstrap_servers": [kafka]}, {(f"{prefix}aura.health", 0): 0})
    assert json.loads(last.value)["level"] == "minor"


def test_a_dead_broker_is_a_signal(tmp_path: Path) -> None:
    """Where no broker answers that counts as a failed component; the breaker opens, decisions wait and are in the log."""
    publisher = Publisher({"bootstrap_servers": ["127.0.0.1:1"]}, "")
    driven = Driven(tmp_path, publisher)
    for _ in range(6):
        driven.run(5)
    assert "broker" in driven.governor.failures
    assert driven.governor.ladder.level is Level.MINOR
    assert publisher._breaker.current_state == "open"
    assert driven.decided == [(1, 100)]
    assert len(publisher._waiting) == 1
