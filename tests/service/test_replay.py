"""Archive, replay and verify through a real broker: what is read again gives what the live run gave, byte for byte."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from typer.testing import CliRunner

from flows.replayed import Again, archived_columns, decoder, from_archive, from_topic
from flows.settings import Settings, load
from kernels.errors import AuraError, ConfigError
from kernels.frame import encode_frame
from kernels.row_writer import encode_rows
from kernels.schema import Columns
from operators.archive_files import Archive
from operators.archive_reader import read_archive
from operators.batch import DeadLetter
from operators.decoded import Decoded
from operators.progress import Progress
from operators.replayed import Range
from operators.topic_reader import TopicReader, offset_bounds
from service.archive import archive_topic
from service.commands.archive import command as archive_command
from service.commands.replay import command as replay_command
from service.commands.replay import parse_speed, parse_time
from service.console import Console
from service.job import Job
from service.replay import namespace, replay, replay_into
from service.topics import DECLARED, Topic, apply, load_topics
from service.verify import read_side, verify

ROOT = Path(__file__).parents[2]
PARTITIONS = 3
BEGIN_US = 1_767_225_600_000_000
SECOND_US = 1_000_000
SPAN_S = 60
FRAME, ROWS, JSON = (
    [("content-type", f"application/vnd.aura.{kind}".encode())]
    for kind in ("frame", "rows+msgpack", "rows+json")
)
SETTINGS = {"max.message.bytes": "8454144", "message.timestamp.type": "LogAppendTime"}

Record = tuple[bytes, list[tuple[str, bytes]]]


def settings_for(kafka: str, **overrides: object) -> Settings:
    """The profile `minimal` on this broker; `a__b` sets a.b."""
    values = {"kafka.bootstrap": kafka, "input.source": "kafka", "event_time.idle_timeout": "off"}
    values |= {key.replace("__", "."): str(value) for key, value in overrides.items()}
    return load("minimal", values).settings


def events(rng: np.random.Generator, times_us: np.ndarray[Any, Any]) -> Columns:
    """Events at these times anywhere in the world, one speed in a hundred beyond what is believed."""
    size = len(times_us)
    found: Columns = {
        "agent_id": rng.integers(1, 200, size, np.uint64),
        "time_us": times_us.astype(np.int64),
        **{axis: rng.uniform(0, 100, size).astype(np.float32) for axis in ("x_m", "y_m", "z_m")},
        "seq": np.arange(size, dtype=np.uint32),
        "speed_mps": rng.uniform(0, 1010, size).astype(np.float32),
        "energy": rng.uniform(0, 1000, size).astype(np.float32),
    }
    return found


def records_of(seed: int, count: int = 1500) -> list[Record]:
    """A minute of a partition: frames and rows of any size, late events, wrong clocks, and what is no event."""
    rng = np.random.default_rng(seed)
    times_us = BEGIN_US + np.sort(rng.integers(0, SPAN_S * SECOND_US, count))
    times_us[rng.random(count) < 0.02] -= 2 * SECOND_US
    times_us[rng.random(count) < 0.003] += 10**9 * SECOND_US
    found: list[Record] = []
    first = 0
    while first < count:
        part = events(rng, times_us[first : first + int(rng.integers(1, 120))])
        first += len(part["time_us"])
        match int(rng.integers(0, 6)):
            case 0:
                found += [(value, ROWS) for value in encode_rows(part, "msgpack", per_record=7)]
            case 1:
                value = encode_rows(part, "json", per_record=200)[0]
                found.append((value[:-1] + b', {"agent_id": null}]', JSON))
            case 2:
                found += [
                    (rng.bytes(40), FRAME),
                    (encode_frame(part), FRAME),
                    (b"", [("content-type", b"a/b")]),
                ]
            case _:
                names = {agent: f"agent {agent}" for agent in part["agent_id"].tolist()[:5]}
                found.append((encode_frame(part, names=names), FRAME))
    return found


def send(kafka: str, topic: str, parts: Sequence[Sequence[Record]], **options: Any) -> None:
    """Write the records of each partition, in their order."""
    with KafkaProducer(bootstrap_servers=kafka, linger_ms=5, retry_backoff_ms=10, **options) as producer:
        sent = [
            producer.send(topic, value=value, headers=headers, partition=partition)
            for partition, records in enumerate(parts)
            for value, headers in records
        ]
        for future in sent:
            future.get(10)


def archive(
    settings: Settings, topic: str, folder: Path, *, max_span_us: int = 5 * SECOND_US
) -> dict[str, Any]:
    """Archive to the end in this process."""
    return archive_topic(
        settings, topic, folder, until_end=True, max_bytes=10**9, max_span_us=max_span_us,
        stop=threading.Event(), progress=Progress(),
    )  # fmt: skip


class World(NamedTuple):
    """A topic, a live run over it, and its archive."""

    kafka: str
    prefix: str
    live: Path
    summary: dict[str, Any]
    archive: Path

    @property
    def topic(self) -> str:
        """Where the events are."""
        return f"{self.prefix}aura.events"

    def settings(self, out: Path, **overrides: object) -> Settings:
        """The live run's, with the results elsewhere."""
        return settings_for(self.kafka, kafka__prefix=self.prefix, sink__directory=out, **overrides)

    def compare(self, out: Path) -> dict[str, Any]:
        """Verify results against the live ones."""
        settings = self.settings(out)
        return verify(read_side(str(self.live), settings), read_side(str(out), settings))


def run(settings: Settings) -> dict[str, Any]:
    """Run live, to the end of the topic."""
    return Job(settings, sink="files", until_end=True, console=Console(quiet=True)).run()


@pytest.fixture(scope="module")
def world(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A minute of events in three partitions, run live, and archived."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    declared = [t for t in load_topics(DECLARED) if t.name != "aura.events"]
    apply(
        {"bootstrap_servers": kafka},
        [*declared, Topic("aura.events", PARTITIONS, 1, SETTINGS)],
        prefix=prefix,
    )
    send(kafka, f"{prefix}aura.events", [records_of(seed) for seed in range(PARTITIONS)])
    folder = tmp_path_factory.mktemp("world")
    made = World(kafka, prefix, folder / "live", {}, folder / "archive")
    summary = run(made.settings(made.live))
    assert summary["late"] > 10
    assert summary["dead_letters"] > 20
    archive(made.settings(folder), made.topic, made.archive)
    return made._replace(summary=summary)


def again(
    world: World, out: Path, what: Again, *, topic: bool = False, **overrides: object
) -> dict[str, Any]:
    """Replay into `out`."""
    settings = namespace(world.settings(out, **overrides), out=out, prefix=None)
    given = from_topic(settings, world.topic, what) if topic else from_archive(settings, world.archive, what)
    return replay(settings, given, what, sink="files", console=Console(quiet=True))


@pytest.mark.parametrize(
    ("sizes", "speed", "topic"),
    [((1, 1024), None, False), ((2, 65_536), None, True), ((3, 2048), None, False), ((3, 1024), 60.0, False)],
)
def test_a_replay_is_the_live_run(
    world: World, tmp_path: Path, sizes: tuple[int, int], speed: float | None, topic: bool
) -> None:
    """An archive or a topic gives the same cells, late events and dead letters, at any speed, batch size, number of shards."""
    overrides = dict(zip(("shards__count", "input__batch_rows"), sizes, strict=True))
    summary = again(world, tmp_path, Again(speed=speed), topic=topic, **overrides)
    assert speed is None or summary["seconds"] >= 0.9 * SPAN_S / speed
    assert world.compare(tmp_path) | {"first": None} == {
        "equal": True, "windows": SPAN_S, "differing": 0, "left_out": [0, 0], "first": None,
        "digest_live": world.summary["digest"], "digest_replay": world.summary["digest"],
    }  # fmt: skip
    same = ("events_in", "windowed", "filtered", "late", "dead_letters", "duplicates", "digest_scored")
    assert {name: summary[name] for name in same} == {name: world.summary[name] for name in same}
    for kind in ("late", "dead_letters"):
        assert pq.read_table(tmp_path / f"{kind}.parquet").equals(
            pq.read_table(world.live / f"{kind}.parquet")
        )


@pytest.mark.skipif(sys.platform != "linux", reason="the supervisor asks Linux which ports listen")
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_cluster_is_the_live_run_and_its_replays(world: World, tmp_path: Path, processes: int) -> None:
    """Live on 1, 2 and 3 processes, the topic gives what replays of its archive give at two speeds; a range at speed 1."""
    line = [
        sys.executable,
        "-m",
        "service",
        "cluster",
        "-n",
        str(processes),
        "--source",
        "kafka",
        "--until-end",
        "--json",
    ]
    line += ["--profile", "minimal", "--out", str(tmp_path / "live")]
    given = {"kafka.bootstrap": world.kafka, "kafka.prefix": world.prefix, "event_time.idle_timeout": "off"}
    line += [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    live = read_side(str(tmp_path / "live"), world.settings(tmp_path))
    span = Range(BEGIN_US + 30 * SECOND_US, BEGIN_US + 32 * SECOND_US + 200_000)
    for number, what in enumerate((Again(), Again(speed=60.0), Again(span, 1.0))):
        out = tmp_path / str(number)
        again(world, out, what)
        found = verify(live, read_side(str(out), world.settings(out)))
        assert (found["equal"], found["first"]) == (True, None)
        assert found["windows"] == (2 if what.speed == 1.0 else SPAN_S)


@pytest.mark.parametrize("topic", [False, True])
def test_a_range_is_the_live_run_where_its_windows_are_closed(
    world: World, tmp_path: Path, topic: bool
) -> None:
    """At speed 1, the windows that lie in a range of 3.2 s with their lateness are those of the live run."""
    span = Range(BEGIN_US + 20 * SECOND_US, BEGIN_US + 23 * SECOND_US + 200_000)
    summary = again(world, tmp_path, Again(span, None if topic else 1.0), topic=topic)
    assert topic or summary["seconds"] >= 3
    assert 0 < summary["events_in"] < world.summary["events_in"] / 10
    assert summary["closed"] == {"second": [span.from_us, span.to_us - 200_000]}
    found = world.compare(tmp_path)
    assert (found["equal"], found["windows"]) == (True, 3)
    assert found["left_out"][0] > found["left_out"][1] > 0


def test_a_replay_into_a_topic_gives_the_same_results_there(world: World, tmp_path: Path, topics) -> None:
    """The events of an archive, sent into another topic, give the same digest and the same account."""
    prefix = topics(Topic("aura.events", PARTITIONS, 1, SETTINGS))
    settings = world.settings(tmp_path)
    given = from_archive(settings, world.archive, Again(), every_column=True)
    sent = replay_into(settings, given, f"{prefix}aura.events")
    assert sent["events"] + sent["dead_letters"] == world.summary["events_in"]
    run(settings_for(world.kafka, kafka__prefix=prefix, sink__directory=tmp_path))
    assert world.compare(tmp_path)["equal"]
    same = ("events_in", "late", "dead_letters")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert {name: summary[name] for name in same} == {name: world.summary[name] for name in same}
    other = topics(Topic("aura.events", PARTITIONS + 1, 1, SETTINGS))
    with pytest.raises(ConfigError, match=r"has 4 partitions.*agents would move"):
        replay_into(settings, given, f"{other}aura.events")


def test_a_replay_into_topics_of_results(world: World, tmp_path: Path, topics) -> None:
    """Results under a prefix of their own are those of the live run; the live prefix is refused."""
    prefix, settings = topics(), world.settings(tmp_path)
    with pytest.raises(ConfigError, match="there the live results are"):
        namespace(settings, out=None, prefix=world.prefix)
    own = namespace(settings, out=None, prefix=prefix)
    assert own.recovery.directory is None
    replay(
        own,
        from_archive(settings, world.archive, Again()),
        Again(),
        sink="kafka",
        console=Console(quiet=True),
    )
    found = verify(read_side(str(world.live), settings), read_side(f"kafka:{prefix}", settings))
    assert (found["equal"], found["windows"]) == (True, SPAN_S)
    with pytest.raises(ConfigError, match="holds no results"):
        read_side(f"kafka:{world.prefix}", settings)


def rows_of(pieces: Iterator[Decoded] | Sequence[Decoded]) -> tuple[list[Any], list[DeadLetter]]:
    """Every row of a partition with its place and broker's time, NaN as text, and every dead letter."""
    rows, letters = [], []
    for piece in pieces:
        offset, row = piece.origin.locate(np.arange(len(piece.broker_us)))
        values = zip(*(column.tolist() for column in piece.columns.values()), strict=True)
        places = zip(offset.tolist(), row.tolist(), piece.broker_us.tolist(), strict=True)
        rows += [(place, repr(of)) for place, of in zip(places, values, strict=True)]
        letters += piece.dead
    return rows, sorted(letters, key=lambda letter: (letter.offset, letter.row))


def read_topic(settings: Settings, topic: str) -> list[Any]:
    """The rows and dead letters of each partition of a topic, by the consumer."""
    options, columns = settings.kafka.client_options(), archived_columns(settings)
    firsts, ends = offset_bounds(options, topic, PARTITIONS)
    found = []
    for k in range(PARTITIONS):
        decode = decoder(settings, topic, k, columns=columns).decode
        with TopicReader(options, topic, {k: firsts[k]}, ends) as reader:
            pieces = []
            while not reader.ended:
                pieces += [piece for polled in reader.poll(100) for piece in decode(polled.records)]
        found.append(rows_of(pieces))
    return found


def read_folder(folder: Path) -> list[Any]:
    """The same of an archive."""
    found = Archive.open(folder)
    return [rows_of(read_archive(found, k, found.columns)) for k in range(found.partitions)]


def start_archiver(kafka: str, topic: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start an archiver that goes on until it is ended, a file a second of event time."""
    code = "import typer; from service.commands.archive import command; typer.run(command)"
    options = ["--topic", topic, "--out", str(folder), "--max-span", "1s", "--profile", "minimal"]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *options, "--set", f"kafka.bootstrap={kafka}"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until something is so, as long as the process lives."""
    end = time.monotonic() + 30
    while not condition():
        assert process.poll() is None, (process.communicate()[0] or b"").decode()
        assert time.monotonic() < end
        time.sleep(0.001)


@contextmanager
def feeding(kafka: str, topic: str) -> Iterator[None]:
    """Send records to all partitions, one after the other, as long as the block runs."""
    stop = threading.Event()

    def feed() -> None:
        with KafkaProducer(bootstrap_servers=kafka, linger_ms=0, retry_backoff_ms=10) as producer:
            for seed in itertools.count():
                parts = [records_of(seed + 1000 * partition, 300) for partition in range(PARTITIONS)]
                for records in itertools.zip_longest(*parts):
                    for partition, record in enumerate(records):
                        if stop.is_set():
                            return
                        if record is not None:
                            value, headers = record
                            producer.send(topic, value=value, headers=headers, partition=partition).get(10)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_an_archiver_that_is_killed_loses_and_doubles_nothing(kafka: str, topics, tmp_path: Path) -> None:
    """Killed twice in the middle of its work, and ended once by SIGTERM, an archiver holds the topic row for row."""
    topic = topics(Topic("events", PARTITIONS, 1, SETTINGS)) + "events"
    settings, rng = settings_for(kafka), random.Random(4)

    def files() -> int:
        return len(list(tmp_path.glob("*/events-*.parquet")))

    with feeding(kafka, topic):
        for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            wanted = files() + rng.randrange(3, 12)
            process = start_archiver(kafka, topic, tmp_path)
            wait_for(lambda n=wanted: files() >= n, process)
            process.send_signal(number)
            said = process.communicate(timeout=20)[0]
            assert process.returncode == (0 if number == signal.SIGTERM else -number), said
        assert not list(tmp_path.glob("*/.*.parquet")), "what ends by SIGTERM leaves whole files"
    archive(settings, topic, tmp_path)
    assert read_folder(tmp_path) == read_topic(settings, topic)
    before = sorted(tmp_path.rglob("*.parquet"))
    assert archive(settings, topic, tmp_path)["rows"] == 0
    assert sorted(tmp_path.rglob("*.parquet")) == before


def test_what_was_aborted_is_not_archived(kafka: str, topics, tmp_path: Path) -> None:
    """Of transactions only the committed ones are in an archive; the offsets of the others and of markers are holes."""
    topic = topics(Topic("events", PARTITIONS, 1, SETTINGS)) + "events"
    options = {"bootstrap_servers": kafka, "transactional_id": f"a{uuid.uuid4().hex}", "retry_backoff_ms": 5}
    with KafkaProducer(**options, api_version=(2, 4)) as producer:
        producer.init_transactions()
        for number, end in enumerate((producer.commit_transaction, producer.abort_transaction) * 2):
            producer.begin_transaction()
            one = events(np.random.default_rng(number), np.array([BEGIN_US + number]))
            producer.send(topic, value=encode_frame(one), headers=FRAME, partition=1).get(10)
            end()
            archive(settings_for(kafka), topic, tmp_path)
    rows = read_folder(tmp_path)[1][0]
    assert [place[0] for place, _ in rows] == [0, 4]
    assert Archive.open(tmp_path).spans(1)[0][:2] == (0, 2)


def test_an_archive_has_no_hole_that_retention_made(kafka: str, topics, tmp_path: Path) -> None:
    """An archiver that comes back after retention has passed its offset stops and says which offsets are gone."""
    topic = topics(Topic("events", PARTITIONS, 1, SETTINGS)) + "events"
    parts = [records_of(seed, 100) for seed in range(PARTITIONS)]
    send(kafka, topic, parts)
    archive(settings_for(kafka), topic, tmp_path)
    send(kafka, topic, parts)
    first, gone = len(parts[0]), 2 * len(parts[0])
    with KafkaAdminClient(bootstrap_servers=kafka) as admin:
        admin.delete_records({TopicPartition(topic, 0): gone})
    with pytest.raises(AuraError, match=rf"\[0\]: offsets {first} to {gone - 1} are gone"):
        archive(settings_for(kafka), topic, tmp_path)


def cli(command: Callable[..., None], *arguments: str) -> Any:
    """Run a command as the command line does."""
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def test_the_commands(world: World, tmp_path: Path) -> None:
    """Archive and replay, as they are called; what they print last with --json is their summary."""
    place = ["--profile", "minimal", "--set", f"kafka.bootstrap={world.kafka}"]
    found = cli(
        archive_command, *place, "--topic", world.topic, "--out", str(tmp_path / "a"), "--until-end", "--json"
    )  # fmt: skip
    assert json.loads(found.stdout)["rows"] + json.loads(found.stdout)["dead_letters"] > 4000
    out = ["--archive", str(tmp_path / "a"), "--out", str(tmp_path / "out")]
    span = ["--from", "2026-01-01T00:00:10Z", "--to", str(BEGIN_US // SECOND_US + 20), "--speed", "1000"]
    found = cli(replay_command, *place, *out, *span, "--json")
    assert json.loads(found.stdout.splitlines()[-1])["closed"] == {
        "second": [BEGIN_US + 10 * SECOND_US, BEGIN_US + 20 * SECOND_US - 200_000]
    }
    assert world.compare(tmp_path / "out")["equal"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "replay what"),
        (["--archive", "x", "--topic", "y"], "replay what"),
        (["--archive", "x"], "x holds no archive"),
        (["--archive", "x", "--out", "o", "--into", "t"], "exclude one another"),
        (["--archive", "x", "--from", "noon"], "--from 'noon': not a time"),
        (["--archive", "x", "--speed", "0"], "--speed '0': expected max"),
    ],
)
def test_bad_usage_says_what_is_wrong(arguments: list[str], message: str) -> None:
    """An option that cannot be followed is named with its value."""
    found = cli(replay_command, *arguments)
    assert isinstance(found.exception, ConfigError)
    assert message in str(found.exception)
    assert "MB" in str(cli(archive_command, "--out", "x", "--max-bytes", "much").exception)


def test_times_and_speeds() -> None:
    """Times are ISO 8601 or seconds since 1970; a speed is a factor, or max."""
    assert [parse_time(text, "--to") for text in ("2026-01-01T01:00+01:00", str(BEGIN_US // SECOND_US))] == [
        BEGIN_US
    ] * 2
    assert parse_time(None, "--to") is None
    assert (parse_speed("0.5"), parse_speed("max")) == (0.5, None)
    for text in ("nan", "inf", "-1", "fast"):
        with pytest.raises(ConfigError):
            parse_speed(text)
