"""The processes of a start, looked at together: which failure is the reason for the others, and what kind it is."""

import signal
import sys
import time
from collections.abc import Iterator

import pytest

from kernels.errors import AuraError, AwayError, ConfigError, LostError
from operators.guard import StepError
from service.cluster import team
from service.cluster.processes import BEAT_S, Channel, Process
from service.cluster.team import HANG_S, Failure, check, kind_of

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the processes end with their parent, as Linux has it"
)
WAIT_S = 20.0


def _main(channel: Channel) -> None:
    channel.beat()
    while (order := channel.hear()) is not None:
        channel.say(order)


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Three that live and beat."""
    made = [Process(_main) for _ in range(3)]
    try:
        for each in made:
            each.order({"say": "ready"})
            _until(each, "ready")
        yield made
    finally:
        team.end(made)


def _until(process: Process, what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not process.has_said(what):
        process.listen()
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_process_that_hangs_is_a_failure(processes: list[Process]) -> None:
    """One that is stopped is noticed within the bound; those that beat are not taken for it."""
    for _ in range(5):
        team.check_beats(processes)
        time.sleep(BEAT_S)
    processes[1].signal(signal.SIGSTOP)
    with pytest.raises(Failure, match="has hung") as caught:  # noqa: PT012 (one of the looks finds it)
        for _ in range(round(HANG_S / BEAT_S) + 3):
            time.sleep(BEAT_S)
            team.check_beats(processes)
    assert (caught.value.kind, processes[1].name in caught.value.reason) == ("died", True)


def test_the_reason_is_told_and_not_what_follows_from_it(processes: list[Process]) -> None:
    """Of a panic and an error that says what it is, the error is the reason; its kind says whether a start helps."""
    panic = {"say": "failed", "rank": 0, "message": "panic", "hint": "", "kind": "failed"}
    error = {"say": "failed", "rank": 1, "message": "no broker", "hint": "see to it", "kind": "away"}
    for process, words in zip(processes, (panic, error), strict=False):
        process.order(words)
        _until(process, "failed")
    with pytest.raises(Failure) as caught:
        check(processes)
    assert (caught.value.reason, caught.value.hint, caught.value.kind) == ("no broker", "see to it", "away")


def test_one_that_is_killed_is_the_reason_also_when_a_panic_is_heard_first(processes: list[Process]) -> None:
    """The others notice before the supervisor has: it hears all before it decides."""
    processes[0].order({"say": "failed", "rank": 0, "message": "panic", "hint": "", "kind": "failed"})
    _until(processes[0], "failed")
    processes[2].signal(signal.SIGKILL)
    with pytest.raises(Failure, match="killed by SIGKILL") as caught:
        check(processes)
    assert caught.value.kind == "died"


def test_one_that_is_killed_is_the_reason(processes: list[Process]) -> None:
    """Whatever the others say: they could not go on without it."""
    processes[2].signal(signal.SIGKILL)
    end = time.monotonic() + WAIT_S
    while processes[2].died is None and time.monotonic() < end:
        processes[2].listen()
    with pytest.raises(Failure, match="killed by SIGKILL") as caught:
        check(processes)
    assert caught.value.kind == "died"


def test_kinds() -> None:
    """What a start may mend, what it cannot, and what has to come back by itself."""
    kinds = {ConfigError: "config", LostError: "lost", AwayError: "away", AuraError: "failed"}
    assert {kind: kind_of(kind("what")) for kind in kinds} == kinds
    wrapped = StepError("step source failed")
    wrapped.__cause__ = LostError("gone")
    assert kind_of(wrapped) == "lost"
