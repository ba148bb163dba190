"""Violations put into a simulated population: all of them are found, nothing else is, and they can be run again."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.replayed import Again, from_archive
from flows.settings import load
from kernels.errors import ConfigError
from kernels.schema import Columns
from kernels.simulate import Population
from service.console import Console
from service.job import Job
from service.slices import archive_slices

AGENTS, TICKS, TICK_US, EACH = 2_000, 40, 100_000, 25
KINDS = ("energy", "time_us", "seq", "speed_mps", "cause_early", "cause_none")
BOUNDS = {
    "safety.energy_conservation.power": "2000",
    "safety.energy_conservation.slack": "500",
    "safety.information_bounds.ranges": '{"speed_mps": [0, 100]}',
    "safety.causal_consistency.wait": "500ms",
    "safety.causal_consistency.reach": "1s",
    "safety.quarantine": "1s",
    "event_time.lateness": "1s",
}


def population() -> Columns:
    """Every event of a short simulation, in the order of its ticks; a tenth of them names its own event before as the cause."""
    people = Population(
        AGENTS, 7, partition=0, partitions=1, world_min_m=(0, 0, 0), world_max_m=(1000, 1000, 100), tick_us=TICK_US,
        start_us=0,
    )  # fmt: skip
    frames = [frame for tick in range(TICKS) for frame in people.frames(tick)]
    columns = {name: np.concatenate([frame[name] for frame in frames]) for name in frames[0]}
    named = (np.random.default_rng(1).random(len(columns["seq"])) < 0.1) & (columns["time_us"] > TICK_US)
    own = columns["seq"].astype(np.int64) - 1
    columns["cause_agent"] = np.where(named & (own > 0), columns["agent_id"], 0).astype(np.uint64)
    columns["cause_seq"] = np.where(named, np.maximum(own, 0), 0).astype(np.uint32)
    born = columns["cause_seq"] > 0
    first = dict(zip(columns["agent_id"][::-1].tolist(), columns["seq"][::-1].tolist(), strict=True))
    known = np.array([first[a] for a in columns["agent_id"].tolist()])
    columns["cause_seq"][born & (columns["cause_seq"] < known)] = 0
    return columns


def injected(columns: Columns) -> dict[str, set[tuple[int, int]]]:
    """Put `EACH` violations of every kind into the columns; return the agent and time of each."""
    rng = np.random.default_rng(3)
    agents = rng.permutation(np.unique(columns["agent_id"][columns["time_us"] < TICK_US]))
    found: dict[str, set[tuple[int, int]]] = {}
    for number, kind in enumerate(KINDS):
        own = agents[number * EACH : (number + 1) * EACH]
        rows = [int(rng.choice(np.flatnonzero(columns["agent_id"] == a)[12:25])) for a in own]
        for row in rows:
            _inject(columns, kind, row)
        found[kind] = {(int(columns["agent_id"][r]), int(columns["time_us"][r])) for r in rows}
    return found


def _inject(columns: Columns, kind: str, row: int) -> None:
    match kind:
        case "energy":
            columns["energy"][row] += 5_000
        case "time_us":
            columns["time_us"][row] -= 250_000
        case "seq":
            columns["seq"][row] -= 3
        case "speed_mps":
            columns["speed_mps"][row] = 140
        case "cause_early":  # an event of the same agent two ticks later
            columns["cause_agent"][row], columns["cause_seq"][row] = (
                columns["agent_id"][row],
                columns["seq"][row] + 2,
            )
        case "cause_none":
            columns["cause_agent"][row], columns["cause_seq"][row] = columns["agent_id"][row], 9_999_999


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, set[tuple[int, int]]], pl.DataFrame, Path]:
    """What was put in, what was found, and the folder of the run."""
    folder = tmp_path_factory.mktemp("safety")
    columns = population()
    wrong = injected(columns)
    pq.write_table(
        pa.table({name: pa.array(values) for name, values in columns.items()}), folder / "events.parquet"
    )
    return wrong, run(folder, "out"), folder


def run(folder: Path, out: str, **more: str) -> pl.DataFrame:
    """Run the flows of cells and of safety over the events in `folder`; return the violations."""
    values = BOUNDS | {
        "input.source": str(folder / "events.parquet"), "input.as_is": "true", "input.partitions": "3",
        "flows": '["cells", "safety"]', "sink.directory": str(folder / out),
    }  # fmt: skip
    settings = load("minimal", values | more, {}).settings
    Job(settings, sink="files", until_end=True, console=Console(quiet=True)).run()
    return pl.read_parquet(folder / out / "violations.parquet")


def places(found: pl.DataFrame, what: str) -> set[tuple[int, int]]:
    """Agent and time of the violations about a column."""
    rows = found.filter((pl.col("what") == what) & (pl.col("subject") == "agent"))
    return set(zip(rows["agent_id"].to_list(), rows["time_us"].to_list(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_injected_violation_is_found(ran: Any, kind: str) -> None:
    """Recall 1.0 for each kind."""
    wrong, found, _ = ran
    assert len(wrong[kind]) == EACH
    assert wrong[kind] <= places(found, "cause_seq" if kind.startswith("cause") else kind)


def test_nothing_else_is_found(ran: Any) -> None:
    """No alarm about an agent into which nothing was put: none in 80,000 events."""
    wrong, found, _ = ran
    agents = {agent for rows in wrong.values() for agent, _ in rows}
    accused = set(found.filter(pl.col("subject") == "agent")["agent_id"].to_list())
    assert accused <= agents


def test_batches_and_partitions_of_the_sink_change_nothing(ran: Any) -> None:
    """The same violations, row for row, from batches of other sizes."""
    _, found, folder = ran
    again = run(folder, "again", **{"input.batch_rows": "1031", "sink.partitions": "1", "shards.count": "5"})
    exact = [name for name in found.columns if name != "revision"]
    agents = pl.col("subject") == "agent"
    assert found.filter(agents).select(exact).equals(again.filter(agents).select(exact))


def test_the_slices_of_the_input_reproduce_their_violations(ran: Any) -> None:
    """An archive of them, run again, gives each violation that had a slice, to the digit."""
    _, found, folder = ran
    summary = archive_slices(folder / "out" / "violations.parquet", folder / "slices")
    sliced = found.filter(pl.col("slice") != "")
    assert summary["violations"] == len(sliced) > 4 * EACH
    values = BOUNDS | {"flows": '["safety"]', "sink.directory": str(folder / "replayed")}
    settings = load("minimal", values, {}).settings
    given = from_archive(settings, folder / "slices", Again())
    Job(settings, sink="files", until_end=True, console=Console(quiet=True), given=given).run()
    again = pl.read_parquet(folder / "replayed" / "violations.parquet")
    names = ["agent_id", "time_us", "invariant", "what", "value", "bound", "reason"]
    assert set(sliced.select(names).rows()) <= set(again.select(names).rows())


def test_small_cells_are_withheld_where_that_is_enforced(ran: Any) -> None:
    """Every published cell has at least k agents; without idle partitions alone is it allowed."""
    _, _, folder = ran
    privacy = {"safety.privacy_preservation.enforce": "true", "safety.privacy_preservation.k": "3"}
    run(folder, "private", **privacy, **{"event_time.idle_timeout": "off"})
    private, full = (pl.read_parquet(folder / out / "cells.parquet") for out in ("private", "out"))
    assert private.equals(full.filter(pl.col("agents") >= 3))
    assert 0 < len(private) < len(full)
    with pytest.raises(ConfigError, match="idle_timeout"):
        run(folder, "never", **privacy)


def test_results_in_topics_need_a_key_where_privacy_is_enforced() -> None:
    """The error says what to give; nothing is written."""
    privacy = {"safety.privacy_preservation.enforce": "true", "event_time.idle_timeout": "off"}
    settings = load("minimal", privacy, {}).settings
    with pytest.raises(ConfigError, match=r"safety\.privacy_preservation\.key"):
        Job(settings, sink="kafka", until_end=True, console=Console(quiet=True)).run()
