"""A user's own data, of quite another shape than the bundled flights: mapped by a TOML file alone, in every format."""

import json
import math
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer
from sources import vehicle_rows, write_csv, write_json_lines

from flows.settings import load
from kernels.hashing import hash_text, partition_of
from operators.batch import FATES
from service.console import Console
from service.job import Job

PROFILE = """
name = "vehicles"
[input]
partitions = 3
[input.mapping]
agent = { column = "Vehicle", kind = "text" }
time = { column = "When", unit = "iso" }
seq = "Trip"
level = { column = "Role", names = { driver = 0, lead = 1, depot = 2 } }
cause_agent = { column = "Sent by", kind = "text" }
cause_seq = "Order"
[input.mapping.position]
kind = "planar"
x = { column = "East (km)", unit = "km" }
y = { column = "North (km)", unit = "km" }
z = { column = "Height", unit = "ft" }
[input.mapping.columns]
speed_mps = { column = "Speed", unit = "mph" }
cabin_k = { column = "Cabin", unit = "degF" }
battery = { column = "Battery", unit = "%" }
[input.mapping.derived]
energy = "speed_mps ** 2 / 2"
[world]
min_m = [-5_000, -5_000, 0]
max_m = [5_000, 5_000, 40]
cell_m = [2_500, 2_500, 40]
[metrics]
speed_mps = { resolution = 0.001, low = 0, high = 100 }
cabin_k = { resolution = 0.001, low = 200, high = 400 }
battery = { resolution = 0.0001, low = 0, high = 1 }
[event_time]
lateness = "1d"
future = "off"
[windows.six_hours]
length = "6h"
aggregates = ["count", "agents", "mean", "min", "max"]
"""
REQUIRED = ("Vehicle", "When", "East (km)", "North (km)", "Height")
ROWS = vehicle_rows(1200)
Key = tuple[int, int, int]


def expected() -> tuple[dict[Key, list[dict[str, Any]]], int]:
    """The rows of each (window, cell), one after the other in plain Python, and how many are no events."""
    cells: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    dead = 0
    for row in ROWS:
        if any(row[name] is None for name in REQUIRED):
            dead += 1
            continue
        hours = int(datetime.fromisoformat(row["When"]).timestamp()) // 21_600
        x, y = (math.floor((float(np.float32(row[name] * 1000)) + 5000) / 2500) for name in REQUIRED[2:4])
        cells[hours * 21_600 * 10**6, x, y].append(row)
    return cells, dead


def check(found: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    """Compare a run's cells with those that plain Python finds."""
    cells, dead = expected()
    assert summary["events_in"] == len(ROWS) == sum(summary[fate] for fate in FATES)
    assert (summary["dead_letters"], summary["windowed"]) == (dead, len(ROWS) - dead)
    assert {(c["start_us"], c["cx"], c["cy"]) for c in found} == set(cells)
    for cell in found:
        rows = cells[cell["start_us"], cell["cx"], cell["cy"]]
        assert (cell["count"], cell["agents"]) == (len(rows), len({row["Vehicle"] for row in rows}))
        speeds = [row["Speed"] * 0.44704 for row in rows if row["Speed"] is not None]
        cabins = [(row["Cabin"] + 459.67) * 5 / 9 for row in rows if row["Cabin"] is not None]
        for name, values in (("speed_mps", speeds), ("cabin_k", cabins)):
            assert cell[f"{name}_count"] == len(values)
            if values:
                assert cell[f"{name}_mean"] == pytest.approx(sum(values) / len(values), abs=1e-3)
                assert cell[f"{name}_max"] == pytest.approx(max(values), rel=1e-6)


def run(folder: Path, source: str, **more: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the flow over a source; return the summary and the cells."""
    profile, out = folder / "vehicles.toml", folder / f"out-{Path(source).suffix[1:] or source}"
    profile.write_text(PROFILE)
    given = {"input.source": source, "sink.directory": str(out)}
    settings = load(profile, given | {key.replace("__", "."): value for key, value in more.items()}).settings
    summary = Job(settings, "files", until_end=True, console=Console(quiet=True)).run()
    return summary, pq.read_table(out / "cells.parquet").to_pylist()


def test_csv_json_lines_and_parquet_give_what_plain_python_does(tmp_path: Path) -> None:
    """Nulls in every column, text ids in any script, kilometres, feet, miles an hour, Fahrenheit, times in many zones."""
    assert all(any(row[name] is None for row in ROWS) for name in ROWS[0])
    write_csv(tmp_path / "v.csv", ROWS)
    write_json_lines(tmp_path / "v.jsonl", ROWS)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "v.parquet")
    digests = set()
    for name in ("v.csv", "v.jsonl", "v.parquet"):
        summary, cells = run(tmp_path, str(tmp_path / name))
        check(cells, summary)
        digests.add(summary["digest"])
    assert len(digests) == 1


def test_the_same_rows_through_kafka(kafka: str, topics: Callable[..., str], tmp_path: Path) -> None:
    """As a producer that knows nothing of AURA writes them, under its own names: JSON, one row a record."""
    prefix = topics()
    with KafkaProducer(bootstrap_servers=kafka) as producer:
        in_order = sorted(
            ROWS, key=lambda row: datetime.fromisoformat(row["When"] or "2024-02-29T00:00:00+00:00")
        )
        for row in in_order:
            agent = np.array([hash_text(row["Vehicle"] or "")], np.uint64)
            partition = int(partition_of(agent, 8)[0])
            headers = [("content-type", b"application/json")]
            producer.send(
                f"{prefix}aura.events", json.dumps(row).encode(), headers=headers, partition=partition
            )
    summary, cells = run(tmp_path, "kafka", kafka__bootstrap=kafka, kafka__prefix=prefix)
    check(cells, summary)
