"""Archive, replay and verify through a real broker: what is read again gives what the live run gave, byte for byte."""

import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
import typer
from command import aura
from recorded import (
    BEGIN_US,
    PARTITIONS,
    SECOND_US,
    SETTINGS,
    SPAN_S,
    archive,
    records_of,
    send,
    settings_for,
)
from typer.testing import CliRunner

from flows.replayed import Again, from_archive, from_topic
from flows.settings import Settings
from kernels.errors import ConfigError
from operators.replayed import Range
from service.commands.archive import command as archive_command
from service.commands.replay import command as replay_command
from service.commands.replay import parse_speed, parse_time
from service.console import Console
from service.declared_topics import DECLARED, Topic, load_topics
from service.job import Job
from service.replay import namespace, replay, replay_into
from service.topics import apply
from service.verify import read_side, verify


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
    given = {"kafka.bootstrap": world.kafka, "kafka.prefix": world.prefix, "event_time.idle_timeout": "off"}
    sets = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    line = (
        "cluster",
        "-n",
        str(processes),
        "--source",
        "kafka",
        "--until-end",
        "--json",
        "--profile",
        "minimal",
    )
    aura(*line, "--out", str(tmp_path / "live"), *sets)
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
