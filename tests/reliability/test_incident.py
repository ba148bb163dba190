"""A run in which things die in turn: nothing is lost, and what was decided can be done again."""

from pathlib import Path

import pytest
from incident import Incident

from flows.settings import load
from service.console import Console
from service.job import Job


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("java")
@pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning"
)  # what a killed broker leaves of kafka-python's
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dead_broker_and_a_lost_device(tmp_path: Path) -> None:
    """The level rises and falls, the run goes on by itself, every event is accounted for, and a replay of its decisions is it."""
    incident = Incident(
        tmp_path, hurry=1.5, seconds=100, broker_s=(8, 33), device_s=(50, 60), model_s=(15, 28)
    )
    summary, governor = incident.run()
    levels = [level for _, level, _, _ in governor.timeline]
    assert max(levels) == 3  # the broker and a model are away at once, whatever the pace of the machine
    assert governor.ladder.level < 3
    assert any(share < 100 for *_, share, _ in governor.timeline)
    fates = ("windowed", "filtered", "late", "dead_letters", "duplicates", "shed")
    assert summary["events_in"] == sum(summary[fate] for fate in fates) == 139_098
    assert summary["shed"] > 0
    settings = load("flights", {"sink.directory": str(tmp_path / "again")}).settings
    decisions = tmp_path / "out" / "decisions.jsonl"
    again = Job(settings, sink="files", until_end=True, console=Console(quiet=True), obeys=decisions).run()
    for name in ("digest", "windowed", "shed", "cells"):
        assert again[name] == summary[name], name
