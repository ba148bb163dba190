"""Crashes and successors of a sink: each result once, from one writer, of one run."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sink_rig import Rig, alert, cells, late, letter, rigged

from kernels.errors import AuraError, ConfigError
from operators.kafka_results import TOPICS
from operators.kafka_run import open_run
from operators.kafka_tables import read_results


@pytest.fixture
def rig(kafka: str, topics: Callable[..., str]) -> Iterator[Rig]:
    """A sink on a real broker."""
    with rigged(kafka, topics) as made:
        yield made


def test_what_a_crash_left_uncommitted_is_written_again(rig: Rig) -> None:
    """A crash inside a transaction: it is aborted, and the next start's records are the only ones."""
    part = rig.writer()
    part.write_batch([cells(0), letter(1)])
    state = part.snapshot()
    part.write_batch([cells(60), letter(2)])
    part._producer.flush(10)
    part = rig.writer(state)
    part.write_batch([cells(60), letter(2)])
    part.snapshot()
    assert rig.keys() == [("events/0/1/-1", 0), ("events/0/2/-1", 0), ("w/0/0", 0), ("w/60/0", 0)]


def test_what_was_committed_before_a_crash_is_not_written_twice(rig: Rig) -> None:
    """A crash between the commit and the recovery store, and another one half-way through the repetition."""
    part = rig.writer()
    state = part.snapshot()
    epochs = [[cells(0), letter(1), late(1), alert(1, 0.5)], [cells(60), letter(2), late(2), alert(2, 0.5)]]
    for outputs in epochs:
        part.write_batch(outputs)
        part.snapshot()
    whole = rig.keys()
    part = rig.writer(state)
    part.write_batch(epochs[0])
    half = part.snapshot()
    part = rig.writer(half)
    part.write_batch(epochs[1])
    part.write_batch([cells(120)])
    part.snapshot()
    assert rig.keys() == sorted([*whole, ("w/120/0", 0)])


def test_a_crash_before_the_first_snapshot_doubles_nothing(rig: Rig, tmp_path: Path) -> None:
    """Without any state a writer finds what its run has committed, since the run began before anything was written."""
    file = tmp_path / "run.json"
    run = rig.begin(file)
    for _ in range(3):
        part = rig.writer(run=rig.begin(file))
        part.write_batch([cells(0), letter(1)])
        part.snapshot()
    assert [(key, r) for key, _, r in rig.log()] == [("w/0/0", run.id), ("events/0/1/-1", run.id)]


def test_a_zombie_writes_nothing(rig: Rig) -> None:
    """A stopped writer that comes back is refused, and its successor's open transaction is none the worse for it."""
    zombie = rig.writer()
    zombie.write_batch([cells(0)])
    heir = rig.writer()
    heir.write_batch([cells(0)])
    with pytest.raises(AuraError, match="Start again"):
        zombie.snapshot()
    heir.snapshot()
    assert rig.keys() == [("w/0/0", 0)]


def test_a_zombie_that_was_forgotten_writes_nothing(rig: Rig) -> None:
    """A writer that stopped between two epochs, and comes back when its successor has gone on, can begin nothing."""
    zombie = rig.writer()
    zombie.write_batch([cells(0)])
    state = zombie.snapshot()
    heir = rig.writer(state)
    heir.write_batch([cells(60)])
    heir.snapshot()
    with pytest.raises(AuraError, match="Start again"):  # noqa: PT012 (either may say so)
        zombie.write_batch([cells(60)])
        zombie.snapshot()
    assert rig.keys() == [("w/0/0", 0), ("w/60/0", 0)]


def test_fencing_stops_all_writers_at_once(rig: Rig) -> None:
    """Before a cluster starts nobody of an earlier one can commit."""
    old = [rig.writer(number=k) for k in range(2)]
    for part in old:
        part.write_batch([letter(1)])
    rig.sink().fence()
    for part in old:
        with pytest.raises(AuraError, match="committing results of partition"):
            part.snapshot()
    assert rig.keys() == []


def test_another_result_for_the_same_window_is_its_next_revision(rig: Rig) -> None:
    """What a restarted run says differently replaces what stands there, and is numbered on for good."""
    part = rig.writer()
    state = part.snapshot()
    part.write_batch([cells(0, count=5)])
    part.snapshot()
    assert rig.counts() == {"w/0": 5}
    part = rig.writer(state)
    part.write_batch([cells(0, count=7)])
    state = part.snapshot()
    assert rig.counts() == {"w/0": 7}
    part = rig.writer(state)
    part.write_batch([cells(0, count=8, revision=1)])
    part.snapshot()
    assert (rig.keys(), rig.counts()) == ([("w/0/0", 0), ("w/0/0", 1), ("w/0/0", 2)], {"w/0": 8})


def test_runs_do_not_mix(rig: Rig) -> None:
    """A new run writes its own results, whatever stands there; each can be read alone."""
    runs = [rig.run, rig.begin()]
    for number, run in enumerate(runs):
        part = rig.writer(run=run)
        part.write_batch([cells(0, count=number + 1), cells(60 + number)])
        part.snapshot()
    assert rig.counts() == {"w/0": 2, "w/60": 1, "w/61": 1}
    one = read_results(rig.options, prefix=rig.prefix, run=runs[0].id, kinds=["cells"])["cells"]
    assert [(row["start_us"], row["count"]) for row in one.to_pylist()] == [(0, 1), (60, 1)]


def test_what_another_run_has_written_is_not_ones_own(rig: Rig) -> None:
    """A run that resumes after another one used the topics writes its results, though the same stand there."""
    state, other = rig.writer().snapshot(), rig.begin()
    for run, resumed in ((other, None), (rig.run, state)):
        part = rig.writer(resumed, run=run)
        part.write_batch([cells(0)])
        part.snapshot()
    assert rig.log() == [("w/0/0", 0, other.id), ("w/0/0", 0, rig.run.id)]


@pytest.mark.parametrize("seed", range(3))
def test_ten_crashes_in_a_row_leave_each_result_once(rig: Rig, seed: int) -> None:
    """Wherever they fall: inside the transaction, after the commit, with the snapshot durable or lost."""
    chance = random.Random(seed)
    results: list[list[Any]] = [
        [cells(60 * n, count=n), letter(n), late(n), alert(n, 0.5)] for n in range(12)
    ]
    durable: tuple[int, bytes | None] = (0, None)
    for _ in range(10):
        at, state = durable
        part = rig.writer(state)
        for _ in range(chance.randint(0, 3)):
            size = chance.randint(1, 3)
            part.write_batch([o for outputs in results[at : at + size] for o in outputs])
            if chance.random() < 0.3:
                break
            at, state = min(at + size, len(results)), part.snapshot()
            if chance.random() < 0.3:
                durable = at, state
    part = rig.writer(durable[1])
    part.write_batch([o for outputs in results[durable[0] :] for o in outputs])
    part.close()
    expected = [(f"w/{60 * n}/0", 0) for n in range(12)] + [(f"events/0/{n}/-1", 0) for n in range(12)]
    expected += [(f"events/0/{n}/0", 0) for n in range(12)] + [(str(n), 0) for n in range(12)]
    assert rig.keys() == sorted(expected)


def test_a_run_is_begun_once(rig: Rig, tmp_path: Path) -> None:
    """Whichever process is first begins it; the others, and every restart, find it. Topics must be wide enough."""
    file = tmp_path / "run.json"
    first = rig.begin(file)
    assert rig.begin(file) == first
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
    assert first.starts == {kind: [0, 0] for kind in TOPICS}
    with pytest.raises(ConfigError, match="has 2 partitions, and the sink has 3"):
        open_run(rig.options, prefix=rig.prefix, partitions=3, file=None)
    file.write_text("{")
    with pytest.raises(AuraError, match="does not tell of a run"):
        rig.begin(file)


def test_a_state_of_another_run_is_refused(rig: Rig) -> None:
    """Neither the run nor the number of writers can change under a recovery store."""
    state = rig.writer().snapshot()
    other = replace(rig.run, id="other")
    with pytest.raises(AuraError, match="the saved state is of run"):
        rig.writer(state, run=other)
    with pytest.raises(AuraError, match="2 sink partitions"):
        rig.writer(state, partitions=1)
