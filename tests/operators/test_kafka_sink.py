import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource
from kafka.errors import KafkaTimeoutError

from kernels.errors import AuraError, ConfigError
from operators import kafka_sink
from operators.alerts import FIELDS
from operators.batch import Alerts, DeadLetter, Late, Tally
from operators.cells import Cells
from operators.kafka_reader import end_offsets, read_committed
from operators.kafka_results import TOPICS, encode_output
from operators.kafka_run import Run, open_run
from operators.kafka_sink import KafkaSink
from operators.kafka_tables import read_outputs, read_results
from operators.result import KINDS, Result
from operators.results import last_results
from operators.session import Sessions
from service.topics import Topic

SETTINGS = {"max.message.bytes": "8519680"}


class Rig:
    """A sink of two partitions on topics of its own, and the writers that were made of it."""

    def __init__(self, kafka: str, prefix: str) -> None:
        self.options: dict[str, Any] = {"bootstrap_servers": [kafka]}
        self.prefix, self.accounts = prefix, dict[int, Tally]()
        self.made: list[Any] = []
        self.run = self.begin()

    def begin(self, file: Path | None = None) -> Run:
        """Begin a run."""
        return open_run(self.options, prefix=self.prefix, partitions=2, file=file)

    def sink(self, run: Run | None = None, **more: Any) -> KafkaSink:
        """A sink of the run."""
        given = {
            "prefix": self.prefix,
            "group": "g",
            "flow": "f",
            "partitions": 2,
            "on_account": self.accounts.__setitem__,
        }
        return KafkaSink(self.options, run or self.run, **(given | more))

    def writer(self, state: bytes | None = None, *, number: int = 0, **more: Any) -> Any:
        """A writer of a partition: it fences the ones before it."""
        self.made.append(self.sink(**more).build_part("sink", f"{number:05d}", state))
        return self.made[-1]

    def log(self) -> list[tuple[str, str, int]]:
        """The key, the revision and the run of all that is committed, in order."""
        starts = {(self.prefix + name, k): 0 for name in TOPICS.values() for k in range(2)}
        found = []
        for record in read_committed(self.options, starts):
            headers = dict(record.headers)
            found.append((record.key.decode(), int(headers["revision"]), headers["run"].decode()))
        return found

    def keys(self) -> list[tuple[str, int]]:
        """The keys and revisions of all that is committed."""
        return sorted((key, revision) for key, revision, _ in self.log())

    def counts(self) -> dict[str, int]:
        """What a reader takes for the result: count by window and start."""
        table = read_results(self.options, prefix=self.prefix, kinds=["cells"]).get("cells")
        rows = [] if table is None else table.to_pylist()
        return {f"{row['window']}/{row['start_us']}": row["count"] for row in rows}


@pytest.fixture
def rig(kafka: str, topics: Callable[..., str]) -> Iterator[Rig]:
    """A sink on a real broker."""
    made = Rig(kafka, topics(*(Topic(name, 2, 1, SETTINGS) for name in TOPICS.values())))
    yield made
    for part in made.made:
        part._producer.close(timeout=0)


def cells(start: int, count: int = 1, *, rows: int = 1, revision: int = 0) -> Cells:
    """The rows of one window of shard 0."""
    columns = {
        "window": np.zeros(rows, np.int16),
        "start_us": np.full(rows, start),
        "end_us": np.full(rows, start + 60),
        **{name: np.arange(rows, dtype=np.int32) for name in ("cx", "cy", "cz")},
        "count": np.full(rows, count),
        "agents": np.full(rows, -1),
        "score": np.full(rows, np.nan, np.float32),
        "revision": np.full(rows, revision, np.int32),
    }
    return Cells(0, columns, ["w"])


def letter(offset: int, value: bytes = b"bytes") -> DeadLetter:
    """A dead letter of a record."""
    return DeadLetter("events", 0, offset, -1, value, "text/plain", "decode", "malformed")


def late(offset: int) -> Late:
    """A late event of a record."""
    columns = {"agent_id": np.array([1], "<u8"), "time_us": np.array([5], "<i8")}
    columns |= {axis: np.array([0.5], "<f4") for axis in ("x_m", "y_m", "z_m")}
    return Late("events", 0, columns, np.array([offset]), np.array([0]), np.array([9]))


def alert(agent: int, score: float) -> Alerts:
    """An alert of an agent."""
    known = {"kind": "agent", "agent_id": agent, "time_us": 5, "score": score, "model": "m"}
    return Alerts([dict.fromkeys(FIELDS) | known])


def session(agent: int) -> Sessions:
    """A session of an agent."""
    columns = {"window": np.zeros(1, np.int16), "start_us": np.array([5]), "end_us": np.array([9])}
    columns |= {"agent_id": np.array([agent], np.uint64), "count": np.array([1])}
    columns |= {"revision": np.zeros(1, np.int32), "withdrawn": np.zeros(1, np.bool_)}
    return Sessions(0, columns, ["visit"])


def result(kind: str, about: str, rows: int = 1, *, revision: int = 0) -> Result:
    """A result of a further kind."""
    columns = {}
    for name in KINDS[kind].columns:
        dtype = KINDS[kind].dtype(name)
        numbers = np.arange(rows)
        columns[name] = numbers.astype(str).astype(object) if dtype.kind == "O" else numbers.astype(dtype)
    return Result(kind, about, columns, revision)


def test_an_epoch_is_seen_as_a_whole_once_it_is_committed(rig: Rig) -> None:
    """A reader of committed records sees none of the topics before the snapshot, and all of them after it."""
    part = rig.writer()
    brought = [cells(0), session(4), letter(1), late(2), alert(3, 0.5), Tally(events_in=3, windowed=3)]
    brought += [result(kind, "5/0") for kind in KINDS]
    part.write_batch(brought)
    part._producer.flush(10)
    topic = rig.prefix + TOPICS["cells"]
    assert end_offsets(rig.options, topic, 1) == [1]
    assert end_offsets(rig.options, topic, 1, isolation_level="read_committed") == [0]
    part.snapshot()
    tables = read_results(rig.options, prefix=rig.prefix)
    assert {kind: table.num_rows for kind, table in tables.items()} == dict.fromkeys(TOPICS, 1)
    assert tables["dead_letters"].to_pylist()[0]["value"] == b"bytes"
    part.close()
    assert rig.accounts == {0: Tally(events_in=3, windowed=3)}


def test_partition_k_writes_partition_k(rig: Rig) -> None:
    """Keys go to the partition of their number, also beyond ten, where texts are in another order."""
    for number in (0, 1):
        part = rig.writer(number=number)
        part.write_batch([letter(number)])
        part.snapshot()
    starts = {(rig.prefix + TOPICS["dead_letters"], k): 0 for k in range(2)}
    assert {r.key: r.partition for r in read_committed(rig.options, starts)} == {
        b"events/0/0/-1": 0,
        b"events/0/1/-1": 1,
    }
    sink = rig.sink(partitions=12)
    assert [sorted(sink.list_parts())[sink.part_fn(str(k))] for k in range(12)] == sink.list_parts()


def test_the_last_revision_of_a_result_is_read_and_none_is_written_twice(rig: Rig) -> None:
    """A result that has no rows any more is gone; a repetition after a crash finds what stands there."""
    part = rig.writer()
    state = part.snapshot()
    epochs = [[result("agents", "5/0"), result("agents", "5/1", 3)]]
    epochs += [[result("agents", "5/0", 0, revision=1), result("agents", "5/1", 2, revision=1)]]
    for outputs in epochs:
        part.write_batch(outputs)
        part.snapshot()
    whole = rig.keys()
    assert whole == [("5/0", 0), ("5/0", 1), ("5/1", 0), ("5/1", 1)]
    part = rig.writer(state)
    for outputs in epochs:
        part.write_batch(outputs)
        part.snapshot()
    assert rig.keys() == whole
    table = read_results(rig.options, prefix=rig.prefix, kinds=["agents"])["agents"]
    assert last_results(table, "agents")["agent_id"].to_pylist() == [0, 1]


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


@pytest.mark.parametrize("json_rows", [False, True])
def test_a_large_result_of_fewer_parts_leaves_none_behind(
    rig: Rig, json_rows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader puts the parts of a result together; those that a later revision no longer has are gone."""
    monkeypatch.setattr("operators.cell_records._VALUE_BYTES", 200)
    part = rig.writer(json_rows=json_rows)
    part.write_batch([cells(0, rows=9)])
    part.snapshot()
    table = read_results(rig.options, prefix=rig.prefix, kinds=["cells"])["cells"]
    assert sorted(table["cx"].to_pylist()) == list(range(9))
    part.write_batch([cells(0, rows=5, revision=1)])
    part.snapshot()
    table = read_results(rig.options, prefix=rig.prefix, kinds=["cells"])["cells"]
    assert sorted(table["cx"].to_pylist()) == list(range(5))
    assert set(table["revision"].to_pylist()) == {1}


def test_much_in_one_epoch_waits_for_the_broker(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not yet sent stays below a limit, whatever an epoch brings, and is one transaction all the same."""
    monkeypatch.setattr(kafka_sink, "_UNSENT_BYTES", 1000)
    part = rig.writer()
    part.write_batch([letter(n, bytes(300)) for n in range(20)])
    assert part._unsent_bytes <= 1000
    assert end_offsets(
        rig.options, rig.prefix + TOPICS["dead_letters"], 1, isolation_level="read_committed"
    ) == [0]
    part.snapshot()
    assert len(rig.keys()) == 20


@pytest.mark.parametrize("size", [100_000, 9 * 2**20])
def test_a_record_that_is_refused_ends_the_run_uncommitted(rig: Rig, size: int) -> None:
    """By the broker or before it: the epoch is committed with all of its records or not at all."""
    with KafkaAdminClient(bootstrap_servers=rig.options["bootstrap_servers"]) as admin:
        topic = rig.prefix + TOPICS["alerts"]
        admin.alter_configs([ConfigResource("topic", topic, {"max.message.bytes": "50000"})])
    part = rig.writer()
    part.write_batch([letter(1)])
    (message,) = encode_output(alert(1, 0.5))
    with pytest.raises(AuraError, match=r"MessageSizeTooLarge.*Start again"):  # noqa: PT012 (either may say so)
        part._write(message._replace(value=bytes(size)), "")
        part.snapshot()
    rig.writer()
    assert rig.keys() == []


def test_a_record_that_got_lost_is_not_committed_without(rig: Rig) -> None:
    """A record that timed out leaves the client ready to commit the others: the writer looks at each before it does."""

    class TimedOut:
        """The future of such a record."""

        def get(self, timeout: float) -> None:
            """Raise what kafka-python raises."""
            raise KafkaTimeoutError("delivery")

    part = rig.writer()
    part.write_batch([letter(1)])
    part._sent.append(("alerts", TimedOut()))
    with pytest.raises(AuraError, match="committing results of partition 0 failed"):
        part.snapshot()
    rig.writer()
    assert rig.keys() == []


def test_a_topic_that_cannot_be_written_halts_the_flow(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reliability 18: without the topic of the dead letters the run ends, and what it had is not committed."""
    monkeypatch.setattr(kafka_sink, "_ANSWER_S", 1)
    part = rig.writer()
    part.write_batch([cells(0)])
    monkeypatch.setitem(TOPICS, "dead_letters", "aura.nowhere")
    with pytest.raises(AuraError, match=r"writing to .*nowhere\[0\] failed"):
        part.write_batch([letter(1)])
    monkeypatch.undo()
    rig.writer()
    assert rig.keys() == []


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


def test_a_stranger_in_a_topic_is_named(rig: Rig, kafka: str) -> None:
    """Reading results says which record is none, instead of leaving it out."""
    producer = KafkaProducer(bootstrap_servers=kafka)
    producer.send(rig.prefix + TOPICS["cells"], b"?", key=b"k", partition=1).get(10)
    producer.close(timeout=5)
    with pytest.raises(AuraError, match=r"aura.cells\[1\] offset 0 is no result"):
        list(read_outputs(rig.options, "cells", prefix=rig.prefix))
