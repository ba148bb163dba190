"""`aura init`: what it writes for a file runs, and what it cannot guess it says in one line."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

from flows.settings import load
from service.guess import guess, nice

ROOT = Path(__file__).resolve().parents[2]


def _aura(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "service", *words]
    return subprocess.run(
        line,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_flights(tmp_path: Path) -> None:
    """The bundled flights are understood, and run without a dead letter by what was written."""
    done = _aura(tmp_path, "init", str(ROOT / "data/adsb_switzerland.parquet"), "--out", "mine.toml")
    assert done.returncode == 0, done.stderr
    assert "not sure: altitude is taken to be in ft" in done.stdout
    mapping = load(tmp_path / "mine.toml").settings.input.mapping
    assert mapping is not None
    assert (mapping.agent, mapping.time.column, mapping.time.unit) == ("icao24", "timestamp", "ms")
    done = _aura(tmp_path, "run", "--profile", "mine.toml", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["windowed"] > 100_000
    assert summary["dead_letters"] < summary["events_in"] / 1_000  # what lies out of all that was seen first


def test_planar_rows_of_json(tmp_path: Path) -> None:
    """JSON lines with x and y, levels and ISO times are understood as well."""
    rows = [
        {
            "robot": f"r{i % 3}",
            "time": f"2024-01-01T00:{i:02d}:00Z",
            "x_km": i / 10,
            "y_km": 1,
            "level": i % 3,
            "load_kg": 5,
        }
        for i in range(60)
    ]
    (tmp_path / "robots.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = _aura(tmp_path, "init", "robots.jsonl")
    assert done.returncode == 0, done.stderr
    settings = load(tmp_path / "robots.toml").settings
    assert settings.input.mapping is not None
    assert settings.input.mapping.position.kind == "planar"
    assert settings.world.max_m[0] >= 5_900
    done = _aura(tmp_path, "run", "--profile", "robots.toml", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["windowed"] == 60


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"lat": [1.0], "lon": [2.0], "id": ["a"]}, "the time"),
        ({"time": [1.7e9], "id": ["a"]}, "the position"),
        ({"time": [1.7e9], "lat": [1.0], "lon": [2.0]}, "the agent"),
    ],
)
def test_missing_column(columns: dict, says: str, tmp_path: Path) -> None:
    """A file without a time, a position or an agent ends in a message that says what was looked for."""
    pa.csv.write_csv(pa.table(columns), tmp_path / "data.csv")
    done = _aura(tmp_path, "init", "data.csv")
    assert done.returncode == 2
    assert f"no column looks like {says}" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there stays, unless one says so."""
    pa.csv.write_csv(
        pa.table({"id": ["a"], "t": [1_700_000_000], "x": [1.0], "y": [2.0]}), tmp_path / "d.csv"
    )
    (tmp_path / "d.toml").write_text("mine")
    assert _aura(tmp_path, "init", "d.csv").returncode == 2
    assert (tmp_path / "d.toml").read_text() == "mine"
    assert _aura(tmp_path, "init", "d.csv", "--force").returncode == 0
    assert _aura(tmp_path, "init", "none.csv").returncode == 2


@pytest.mark.parametrize(
    ("first", "unit"), [(1_700_000_000, "s"), (1_700_000_000_000, "ms"), (1.7e15, "us"), (1.7e18, "ns")]
)
def test_unit_of_time(first: float, unit: str) -> None:
    """Seconds, milliseconds, microseconds and nanoseconds are told apart by their size."""
    table = pa.table({"id": ["a", "b"], "time": [first, first + 1], "x": [0.0, 1.0], "y": [0.0, 1.0]})
    assert guess(table).time_unit == unit


def test_nice() -> None:
    """A nice number is not below what was asked for, and at most two and a half times that."""
    for value in (0.011, 1, 1.01, 3, 7, 99, 12345):
        assert value <= nice(value) * (1 + 1e-9) <= 2.5 * value * (1 + 1e-9)
