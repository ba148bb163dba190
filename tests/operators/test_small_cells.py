"""Cells of few agents merged with their neighbours, against adding up events one by one."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.settings import load
from kernels.grid import Grid
from kernels.shards import ShardMap
from service.console import Console
from service.job import Job

K = 3
GRID = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (10, 10, 10))


@given(st.integers(1, 60), st.tuples(*(st.integers(1, 9) for _ in range(3))))
def test_no_block_is_in_two_shards(shards: int, shape: tuple[int, int, int]) -> None:
    """However many shards there are, and whatever the shape of the world; and a block has at most eight cells."""
    grid = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), shape)
    blocks = grid.block_of_rank
    aligned = ShardMap.uniform(grid.size, min(shards, grid.size)).aligned(blocks)
    shard = aligned.table
    assert all(len(set(shard[blocks == block].tolist())) == 1 for block in np.unique(blocks))
    assert np.bincount(blocks).max() <= 8


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 3,000 events of 60 agents over four seconds."""
    rng, n = np.random.default_rng(5), 3_000
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    columns = {"agent_id": rng.integers(1, 61, n).astype(np.uint64), "time_us": rng.integers(0, 4_000_000, n)}
    columns |= {name: (rng.random(n) * 60).astype(np.float32) for name in ("x_m", "y_m", "z_m")}
    columns |= {name: np.rint(rng.random(n) * 100).astype(np.float32) for name in ("speed_mps", "energy")}
    pq.write_table(pa.table(columns), path)
    return path


def run(events: Path, out: Path, **more: str) -> pl.DataFrame:
    """Run the flow of cells over the file; return what is published."""
    values = {
        "input.source": str(events), "sink.directory": str(out), "event_time.idle_timeout": "off",
        "world.max_m": "[100, 100, 100]", "world.cell_m": "[10, 10, 10]", "windows.two.length": "2s", "windows.two.slide": "1s",
        "windows.two.aggregates": '["count", "agents", "sum", "min", "max"]',
        "safety.privacy_preservation.enforce": "true", "safety.privacy_preservation.k": str(K),
        "safety.privacy_preservation.small_cells": "merge",
    }  # fmt: skip
    Job(
        load("minimal", values | more, {}).settings, sink="files", until_end=True, console=Console(quiet=True)
    ).run()
    return pl.read_parquet(out / "cells.parquet")


def expected(events: Path, length_us: int, slide_us: int) -> dict[tuple[int, ...], tuple[float, ...]]:
    """Start and place of each published row of a window: count, agents, sum, least and greatest speed, cells."""
    table = pq.read_table(events)
    column = {name: table[name].to_pylist() for name in table.column_names}
    rank = GRID.morton_rank[GRID.cells(*(table[name].to_numpy() for name in ("x_m", "y_m", "z_m")))].tolist()
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, time_us in enumerate(column["time_us"]):
        for start_us in range((time_us - length_us) // slide_us * slide_us + slide_us, time_us + 1, slide_us):
            cells[start_us, rank[i]].append(i)
    groups: dict[tuple[int, ...], list[tuple[int, list[int]]]] = defaultdict(list)
    for (start_us, place), rows in sorted(cells.items()):
        is_small = len({column["agent_id"][i] for i in rows}) < K
        group = (start_us, -1, int(GRID.block_of_rank[place])) if is_small else (start_us, place)
        groups[group].append((place, rows))
    found = {}
    for group, members in groups.items():
        rows = [i for _, own in members for i in own]
        agents, speeds = len({column["agent_id"][i] for i in rows}), [column["speed_mps"][i] for i in rows]
        if agents >= K:
            place = (group[0], members[0][0])
            found[place] = (len(rows), agents, sum(speeds), min(speeds), max(speeds), len(members))
    return found


@pytest.mark.parametrize(
    ("window", "length_us", "slide_us"), [("second", 1_000_000, 1_000_000), ("two", 2_000_000, 1_000_000)]
)
def test_small_cells_of_a_block_are_one_row(
    events: Path, tmp_path: Path, window: str, length_us: int, slide_us: int
) -> None:
    """With all their events and distinct agents; a block that is still too small is withheld."""
    rows = run(events, tmp_path).filter(pl.col("window") == window)
    rank = GRID.morton_rank[(rows["cx"].to_numpy() * 10 + rows["cy"].to_numpy()) * 10 + rows["cz"].to_numpy()]
    names = ("count", "agents", "speed_mps_sum", "speed_mps_min", "speed_mps_max", "merged")
    values = zip(*(rows[name].to_list() for name in names), strict=True)
    found = dict(zip(zip(rows["start_us"].to_list(), rank.tolist(), strict=True), values, strict=True))
    assert found == expected(events, length_us, slide_us)
    assert any(row[-1] > 1 for row in found.values())


def test_shards_and_batches_change_nothing(events: Path, tmp_path: Path) -> None:
    """The same rows from one shard and one partition as from many."""
    one = run(events, tmp_path / "one", **{"shards.count": "1", "input.partitions": "1"})
    many = run(events, tmp_path / "many", **{"shards.count": "37", "input.partitions": "4"})
    assert one.equals(many)
