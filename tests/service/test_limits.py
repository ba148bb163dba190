"""Use held against the limits: alerts above a share of them, and at that of agents the dead letters."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.settings import load
from flows.settings.root import Settings
from flows.sources import populations
from service.console import Console
from service.job import Job
from service.limits import Limit, Limits

PARTITIONS, TICKS = 3, 20


def settings(folder: Path, **more: str) -> Settings:
    """A simulated population of 1,000 in three partitions, for 20 ticks."""
    given = {"simulate.agents": "1000", "simulate.duration": "2s", "input.partitions": str(PARTITIONS)}
    given |= {"sink.directory": str(folder)}
    return load("minimal", given | {key.replace("__", "."): value for key, value in more.items()}).settings


def run(given: Settings) -> tuple[dict[str, Any], str]:
    """Run it; return the summary, and what a person was told."""
    told = io.StringIO()
    summary = Job(given, "files", until_end=False, console=Console(stream=told)).run()
    return summary, told.getvalue()


def expected(given: Settings, share: int) -> set[tuple[int, int]]:
    """The (agent, time) of each event that is refused, one event after the other."""
    refused = set()
    for number in range(PARTITIONS):
        population, known = populations(given, PARTITIONS)(number), set[int]()
        for tick in range(TICKS):
            for frame in population.frames(tick):
                for agent, time_us in zip(frame["agent_id"].tolist(), frame["time_us"].tolist(), strict=True):
                    if agent not in known and len(known) < share:
                        known.add(agent)
                    if agent not in known:
                        refused.add((agent, time_us))
    return refused


def test_events_of_agents_beyond_the_limit_are_dead_letters(tmp_path: Path) -> None:
    """Which ones follows from each partition's order alone; all of them have the reason `limit`."""
    given = settings(tmp_path, limits__agents="600")
    summary, told = run(given)
    rows = pq.read_table(tmp_path / "dead_letters.parquet").to_pylist()
    refused = expected(given, 200)
    assert {row["reason"] for row in rows} == {"limit"}
    assert len(rows) == len(refused) == summary["dead_letters"]
    details = [dict(part.split("=") for part in row["detail"].split()) for row in rows]
    assert {(int(d["agent_id"]), int(d["time_us"])) for d in details} == refused
    assert summary["events_in"] == summary["windowed"] + summary["dead_letters"]
    assert "alert: agents at" in told
    assert summary["limits"]["agents"] == {"limit": 200, "peak": 1.0, "alerts": 1}


def test_who_is_refused_does_not_depend_on_shards_or_restarts(tmp_path: Path) -> None:
    """The same digest with other shards, and with snapshots at every step."""
    first, _ = run(settings(tmp_path / "a", limits__agents="600"))
    more = {"recovery__directory": str(tmp_path / "state"), "recovery__epoch": "1ms", "shards__count": "5"}
    second, _ = run(settings(tmp_path / "b", limits__agents="600", **more))
    assert first["digest"] == second["digest"]
    assert first["dead_letters"] == second["dead_letters"]


def test_without_a_limit_nobody_is_counted(tmp_path: Path) -> None:
    """Then only the memory is looked at."""
    summary, told = run(settings(tmp_path))
    assert set(summary["limits"]) == {"memory_gib"}
    assert summary["dead_letters"] == 0
    assert "alert:" not in told


def test_use_of_memory_is_an_alert(tmp_path: Path) -> None:
    """A limit that any process is above is told of once, and does not end the run."""
    summary, told = run(settings(tmp_path, limits__memory_gib="0.01", resources__memory_gib="0.01"))
    assert told.count("alert: memory_gib at") == 1
    assert summary["limits"]["memory_gib"]["alerts"] == 1


def test_an_alert_comes_once_until_the_use_has_fallen() -> None:
    """Above nine tenths of the limit, not at it; again when it rises anew."""
    uses: Iterator[float] = iter([5, 9, 9.1, 10, 9.1, 8, 9.5])
    told: list[str] = []
    limits = Limits([Limit("seats", 10, lambda: next(uses))], alert_at=0.9, tell=told.append)
    for _ in range(7):
        limits.look()
    assert told == [
        "alert: seats at 91% of its limit: 9.1 of 10", "alert: seats at 95% of its limit: 9.5 of 10",
    ]  # fmt: skip
    assert limits.summary() == {"seats": {"limit": 10, "peak": 1.0, "alerts": 2}}


@pytest.mark.parametrize("agents", ["0", "-1", "1.5", "many"])
def test_a_limit_is_a_number_of_agents(agents: str, tmp_path: Path) -> None:
    """Anything else is refused by its key."""
    with pytest.raises(Exception, match=r"limits\.agents"):
        settings(tmp_path, limits__agents=agents)
