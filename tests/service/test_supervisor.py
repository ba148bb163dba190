"""A supervisor over processes that do not come to their end by themselves: none keeps it waiting."""

import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kernels.errors import AuraError
from service.cluster import team, underway
from service.cluster.processes import Channel
from service.cluster.status import ask
from service.cluster.supervisor import Supervisor
from service.cluster.underway import Underway
from service.cluster.worker import _look

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the processes end with their parent, as Linux has it"
)


class Flow:
    """In place of `Work`: real processes, of which those of the first start never come to their end, and all later ones do.

    Parameters
    ----------
    folder
        Of the store.
    stuck
        What the first ones do.
    """

    sink = "kafka"  # spares are not assembled

    def __init__(self, folder: Path, stuck: Callable[[Channel], None]) -> None:
        self.store: Any = SimpleNamespace(
            directory=folder, resumed_at=0, epoch=timedelta(0), progress=lambda: 1, roll_back=lambda: None
        )
        self._first, self._stuck = folder / "first", stuck
        self._first.touch()

    def serve(self, channel: Channel) -> None:
        """Obey as a worker does."""
        while (order := channel.hear()) is not None:
            if order["do"] == "assemble":
                channel.say({"say": "ready"})
            elif self._first.exists():
                self._first.unlink()
                self._stuck(channel)
            else:
                channel.say({"say": "over", "complete": True, "account": {}})


def _ignores_sigterm(channel: Channel) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel.beat()
    while True:
        time.sleep(1)


def _never_comes_back(channel: Channel) -> None:
    call = Underway()
    channel.beat(partial(_look, call, channel, Path("log")))
    with call.doing("sink.write_batch"):
        while True:
            time.sleep(1)


def _supervisor(folder: Path, stuck: Callable[[Channel], None], said: list[str]) -> Supervisor:
    return Supervisor(
        Flow(folder, stuck), 1, lambda count: (range(count), []), said.append, collects=False, grace_s=0.5
    )  # type: ignore[arg-type]


def test_who_does_not_drain_is_killed_and_it_goes_on(tmp_path: Path) -> None:
    """Asked for another number of processes it goes on as that many, from the last snapshot."""
    said: list[str] = []
    supervisor = _supervisor(tmp_path, _ignores_sigterm, said)
    ask(tmp_path, "scale 2")
    assert supervisor.run() == {}
    assert supervisor.size == 2
    assert "did not drain within 0.5 s and was killed" in " ".join(said)


def test_who_does_not_drain_at_the_end_is_killed_and_told(tmp_path: Path) -> None:
    """Asked to stop it ends, and says that it was not in time."""

    def stuck(channel: Channel) -> None:
        ask(tmp_path, "stop")  # not before it runs: what has not begun needs no drain
        _ignores_sigterm(channel)

    with pytest.raises(AuraError, match="did not drain within"):
        _supervisor(tmp_path, stuck, []).run()


def test_a_call_that_does_not_come_back_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that beats, and whose step waits for what does not come, says which; the next start goes on."""
    monkeypatch.setattr(underway, "CALL_S", 0.3)
    said: list[str] = []
    assert _supervisor(tmp_path, _never_comes_back, said).run() == {}
    assert "sink.write_batch has not come back for 0.3 s; starting again" in " ".join(said)


def test_a_team_without_epochs_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it waits for, and wherever: no epoch for long is as if one had failed."""
    monkeypatch.setattr(team, "STALL_S", 0.5)
    monkeypatch.setattr(team, "_PROGRESS_S", 0.1)
    said: list[str] = []
    assert _supervisor(tmp_path, _ignores_sigterm, said).run() == {}
    assert "no epoch was done for 0.5 s; starting again" in " ".join(said)
