"""Session windows in the configuration and in the flow: as an obvious loop over the simulated events has them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bytewax.testing import run_main

from flows.assemble import assemble
from flows.settings import load
from flows.settings.root import Settings
from flows.sources import populations
from kernels.errors import ConfigError
from operators.file_sink import read_tallies
from operators.results import digest_sessions, digests, published, read_files

WHERE_MPS = 12
GAP_US = 150_000
VISIT = {
    "windows.visit.kind": "session",
    "windows.visit.gap": "150ms",
    "windows.visit.aggregates": '["count", "max"]',
}
RUN = {
    "input.partitions": "3",
    "simulate.duration": "5s",
    "stages": f'[{{"kind": "filter", "where": "speed_mps < {WHERE_MPS}"}}, {{"kind": "aggregate"}}]',
}


def run(settings: Settings, directory: Path) -> tuple[dict[str, pa.Table], int]:
    """Run the flow into files; return its tables, and how many events are in windows."""
    made = assemble(settings)
    run_main(made.flow)
    tables = published(read_files(directory), made.plan.tables, model=None)
    tally = read_tallies(directory)
    assert tally.balanced
    return tables, tally.windowed


def expected(settings: Settings) -> dict[tuple[int, int], tuple[int, int, float]]:
    """End, count and greatest speed of each session, by agent and start."""
    events: dict[int, list[tuple[int, float]]] = {}
    for partition in range(3):
        population = populations(settings, 3)(partition)
        for tick in range(50):
            for frame in population.frames(tick):
                for agent, time_us, speed in zip(
                    *(frame[n].tolist() for n in ("agent_id", "time_us", "speed_mps")), strict=True
                ):
                    if speed < WHERE_MPS:
                        events.setdefault(agent, []).append((time_us, speed))
    found: dict[tuple[int, int], tuple[int, int, float]] = {}
    for agent, rows in events.items():
        start = last = sorted(rows)[0][0]
        for time_us, speed in sorted(rows):
            start = time_us if time_us - last >= GAP_US else start
            _, count, fastest = found.get((agent, start), (0, 0, 0.0))
            found[agent, start] = (time_us + GAP_US, count + 1, max(fastest, speed))
            last = time_us
    return found


def test_sessions_of_a_simulated_population(tmp_path: Path) -> None:
    """The flow gives the sessions of the filtered events, the same for any number of shards, beside the same cells."""
    exact = set()
    for shards in (1, 7):
        folder = tmp_path / str(shards)
        more = {"sink.directory": str(folder), "shards.count": str(shards)}
        settings = load("minimal", RUN | VISIT | more).settings
        tables, windowed = run(settings, folder)
        rows: list[dict[str, Any]] = tables["sessions"].to_pylist()
        got = {(r["agent_id"], r["start_us"]): (r["end_us"], r["count"], r["speed_mps_max"]) for r in rows}
        assert got == expected(settings)
        assert sum(r["count"] for r in rows) == windowed
        exact.add((digests(tables["cells"])[0], digest_sessions(tables["sessions"])))
    tables, _ = run(
        load("minimal", RUN | {"sink.directory": str(tmp_path / "plain")}).settings, tmp_path / "plain"
    )
    assert {cells for cells, _ in exact} == {digests(tables["cells"])[0]}
    assert len(exact) == 1
    assert "sessions" not in tables


def test_the_aggregate_names_its_windows() -> None:
    """A session window that the aggregate stage does not name is not computed."""
    settings = load("minimal", VISIT).settings
    assert [(w.name, w.gap_us, w.lateness_us) for w in settings.sessions_used] == [("visit", GAP_US, 200_000)]
    assert [w.name for w in settings.windows_used] == ["second"]
    named = load("minimal", VISIT | {"stages": '[{"kind": "aggregate", "windows": ["second"]}]'}).settings
    assert named.sessions_used == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"windows.visit.kind": "tumbling"}, "allowed kind: 'cells', 'session'"),
        ({"windows.visit.gap": "0s"}, 'windows.visit.gap = "0s" (--set): must be above 0'),
        ({"windows.visit.slide": "1s"}, "unknown key; allowed: aggregates, gap, kind, lateness"),
        (
            {"windows.visit.aggregates": '["agents"]'},
            "allowed: 'count', 'sum', 'mean', 'min', 'max' or 'var'",
        ),
        ({"windows.visit.aggregates": '["max", "max"]'}, "names one twice"),
        ({"stages": '[{"kind": "aggregate", "windows": ["visit"]}]'}, "session windows alone"),
    ],
)
def test_mistakes(change: dict[str, str], said: str) -> None:
    """A mistake in a session window is answered with the key and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        load("minimal", VISIT | change)
    assert said in str(caught.value)


def test_only_sessions(tmp_path: Path) -> None:
    """A configuration without a window over cells is refused."""
    text = "[world]\nmin_m = [0, 0, 0]\nmax_m = [9, 9, 9]\ncell_m = [1, 1, 1]\n"
    text += '[windows.visit]\nkind = "session"\ngap = "1m"\naggregates = ["count"]\n'
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="at least one table"):
        load(path)
