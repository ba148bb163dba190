"""A run in which a step fails: one message for the user, everything else in the log."""

from pathlib import Path
from typing import Any

import pytest

from flows.settings import load
from kernels.errors import AuraError
from operators.combine import Combine
from operators.file_sink import _Partition as FilePartition
from operators.ingest import Ingest
from operators.session import ShardSessions
from operators.session_combine import SessionCombine
from operators.window import ShardWindows
from service.console import Console
from service.job import Job

STEPS = {
    r"source failed": (Ingest, "accept"),
    r"combine failed on simulate\[\d\] offset \d+.*": (Combine, "many"),
    r"session_combine failed on simulate\[\d\] offset \d+( to \d+)?": (SessionCombine, "__call__"),
    r"window failed on shard \d+, events of partitions \d": (ShardWindows, "on_messages"),
    r"session failed on shard \d+, events of partitions \d": (ShardSessions, "on_messages"),
    r"window failed": (ShardWindows, "snapshot"),
    r"sink failed": (FilePartition, "write_batch"),
}
VISIT = {
    "windows.visit.kind": "session",
    "windows.visit.gap": "150ms",
    "windows.visit.aggregates": '["count"]',
    "simulate.duration": "2s",
}


def breaks(*args: Any) -> Any:
    """What no step should do."""
    raise ZeroDivisionError("seven by nothing")


def run(directory: Path, **more: str) -> None:
    """Run a simulated population, with a recovery store, into files."""
    given = VISIT | {"sink.directory": str(directory), "recovery.directory": str(directory / "state")} | more
    Job(load("minimal", given).settings, "files", until_end=False, console=Console(quiet=True)).run()


@pytest.mark.parametrize("words", STEPS)
def test_a_failure_names_its_step_and_leaves_the_traceback_in_the_log(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whichever step it is, the keyed ones included; the terminal sees nothing of the engine's words."""
    monkeypatch.setattr(*STEPS[words], breaks)
    with pytest.raises(AuraError, match=rf"^step {words}: ZeroDivisionError: seven by nothing") as caught:
        run(tmp_path)
    log = tmp_path / "aura.log"
    assert caught.value.hint.endswith(f"The traceback is in {log}")
    assert "in breaks" in log.read_text()
    assert capfd.readouterr() == ("", "")


def test_what_says_what_to_do_still_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that is nobody's fault keeps its hint, and is not asked to be reported."""

    def refuse(*args: Any) -> Any:
        raise AuraError("the disk is full", "Free some")

    monkeypatch.setattr(FilePartition, "snapshot", refuse)
    with pytest.raises(AuraError, match=r"^step sink failed: the disk is full\. Free some$"):
        run(tmp_path)
