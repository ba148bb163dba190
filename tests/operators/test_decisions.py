"""Decisions: the log, the borders, and the function of event time that they make."""

from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import AuraError
from operators.decisions import Decision, DecisionLog, Schedule, decode, encode

TIMES = st.integers(-1000, 1000)
DECISIONS = st.lists(st.tuples(TIMES, st.integers(0, 4)), max_size=8)


@given(DECISIONS, st.lists(TIMES, min_size=1, max_size=20))
def test_schedule(made: list[tuple[int, int]], times: list[int]) -> None:
    """The level at a time is that of the last decision at or before it, of the same border the latest; none before all."""

    def slow(time_us: int) -> int:
        before = [(from_us, number) for number, (from_us, _) in enumerate(made) if from_us <= time_us]
        return made[max(before)[1]][1] if before else 0

    schedule = Schedule([Decision(*each) for each in made])
    assert schedule.levels(np.array(times)).tolist() == [slow(t) for t in times]
    start, end = min(times), max(times) + 1
    levels = [slow(t) for t in range(start, end)]
    assert (schedule.worst(start, end), schedule.least(start, end)) == (max(levels), min(levels))


def test_takes_effect_at_a_border_that_nobody_has_passed(tmp_path: Path) -> None:
    """A decision holds from the border after the last one that somebody has passed, and who comes there finds it."""
    log, other = (DecisionLog(tmp_path / "d.jsonl", 100) for _ in range(2))
    schedule, border = log.cross(250)
    assert (len(schedule), border) == (0, 300)
    decision = other.propose("1", 2, 100, "why")
    assert decision is not None
    assert (decision.from_us, decision.level) == (300, 2)
    assert log.cross(300)[0].at(300).level == 2
    assert log.propose("1", 2, 100, "again") is None
    assert log.propose("1", 0, 100, "over") == Decision(400, 0, 100, "over")


def test_processes_decide_together(tmp_path: Path) -> None:
    """The highest level and the least share of all count, until the one who wanted it wants it no more."""
    log = DecisionLog(tmp_path / "d.jsonl", 100)
    log.propose("0", 1, 100, "a")
    log.propose("1", 3, 50, "b")
    assert log.propose("0", 0, 100, "c") is None
    log.propose("1", 0, 100, "d")
    assert [(d.level, d.share) for d in log.schedule.decisions][-1] == (0, 100)


def test_before_any_event(tmp_path: Path) -> None:
    """What is decided before the first event holds for all of them."""
    log = DecisionLog(tmp_path / "d.jsonl", 100)
    log.propose("0", 1, 100, "a")
    assert log.schedule.at(-(2**53)).level == 1


def test_a_torn_line_was_not_decided(tmp_path: Path) -> None:
    """A crash while a line is written leaves no decision; a line that is none is refused."""
    path = tmp_path / "d.jsonl"
    path.write_bytes(encode(Decision(100, 1)) + b"\n" + encode(Decision(200, 4))[:20])
    assert [d.level for d in DecisionLog(path, 100).schedule.decisions] == [1]
    with pytest.raises(AuraError, match="not a decision"):
        decode(b'{"v":9}')


@pytest.mark.parametrize("whole", [0, 1])
@given(cut=st.integers(1, 60))
def test_a_torn_line_is_cut_off_by_the_next(
    whole: int, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever a crash has left of a last line, the next decision is a line of its own, and everybody finds it."""
    path = tmp_path_factory.mktemp("log") / "d.jsonl"
    path.write_bytes(encode(Decision(100, 1)) * whole + b"\n" * whole + encode(Decision(200, 4))[:cut])
    log, other = DecisionLog(path, 100), DecisionLog(path, 100)
    assert len(other.schedule) == whole
    log.cross(250)
    decision = log.propose("0", 2, 100, "why")
    assert decision is not None
    assert log.schedule.decisions == other.schedule.decisions == [Decision(100, 1)] * whole + [decision]
    assert path.read_bytes().endswith(encode(decision) + b"\n")


def test_a_line_as_long_as_the_torn_one_is_seen(tmp_path: Path) -> None:
    """Who has read the log before its torn line was cut off finds the one in its place, however long it is."""
    path = tmp_path / "d.jsonl"
    log, other = DecisionLog(path, 100), DecisionLog(path, 100)
    log.cross(250)
    path.write_bytes(encode(Decision(300, 2, 100, "why")) + b" ")  # of the length that the next line has
    assert len(other.schedule) == 0
    size = path.stat().st_size
    decision = log.propose("0", 2, 100, "why")
    assert path.stat().st_size == size
    assert other.schedule.decisions == [decision]


def test_what_is_obeyed_is_not_changed(tmp_path: Path) -> None:
    """A run that repeats the decisions of another makes none, and writes nothing."""
    path = tmp_path / "d.jsonl"
    path.write_bytes(encode(Decision(100, 1)) + b"\n")
    log = DecisionLog(path, 100, obeyed=True)
    log.cross(500)
    assert log.propose("0", 4, 0, "no") is None
    assert [p.name for p in tmp_path.iterdir()] == ["d.jsonl"]


def _walk(path: Path, who: int) -> None:
    log = DecisionLog(path, 10)
    for time_us in range(0, 2000, 10):
        schedule, _ = log.cross(time_us)
        found = schedule.at(time_us)
        with (path.parent / f"seen-{who}").open("a") as file:
            file.write(f"{time_us} {found.level}\n")
        if time_us % 70 == 0:
            log.propose(str(who), time_us // 70 % 5, 100, "turn")


def test_all_processes_find_the_same(tmp_path: Path) -> None:
    """Processes that pass borders and decide at the same time find the same level at each border, to the end."""
    context = get_context("fork")
    walkers = [context.Process(target=_walk, args=(tmp_path / "d.jsonl", who)) for who in range(3)]
    for walker in walkers:
        walker.start()
    for walker in walkers:
        walker.join()
        assert walker.exitcode == 0
    schedule = DecisionLog(tmp_path / "d.jsonl", 10).schedule
    assert len(schedule) > 3
    for who in range(3):
        for line in (tmp_path / f"seen-{who}").read_text().splitlines():
            time_us, level = map(int, line.split())
            assert schedule.at(time_us).level == level
