"""The main job on the real flights: its results recomputed from the raw file, and the same from every way in."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from command import ROOT, aura, json_of

from kernels.projection import Equirectangular

FLIGHTS = ROOT / "data" / "adsb_switzerland.parquet"
METRICS = {
    "speed_mps": 1000.0,
    "climb_mps": 1000.0,
    "energy": 10.0,
}  # steps a unit, as profiles/flights.toml has them
MINUTE_US = 60_000_000


def run(out: Path, *arguments: str, **env: str) -> dict[str, Any]:
    """Run the main job; return its summary."""
    summary: dict[str, Any] = json_of("run", "--json", "--out", str(out), *arguments, **env)
    fates = ("windowed", "filtered", "late", "dead_letters", "duplicates")
    assert summary["events_in"] == sum(summary[fate] for fate in fates)
    return summary


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The summary and the folder of a run with every default."""
    out = tmp_path_factory.mktemp("flights")
    return run(out), out


def _events() -> pl.DataFrame:
    """Map the raw flights by hand: float64 until the end, then float32."""
    raw = pq.read_table(FLIGHTS)
    column = {name: raw[name].to_numpy() for name in raw.column_names if name not in {"icao24", "callsign"}}
    x_m, y_m = Equirectangular(46.8, 8.2).forward(column["latitude"], column["longitude"])
    speed, z_m = column["groundspeed"] * (1852 / 3600), column["altitude"] * 0.3048
    values = {
        "x": x_m, "y": y_m, "z": z_m, "speed_mps": speed, "climb_mps": column["vertical_rate"] * (0.3048 / 60),
        "energy": speed * speed / 2 + 9.80665 * z_m,
    }  # fmt: skip
    frame = pl.DataFrame({name: value.astype(np.float32) for name, value in values.items()})
    frame = frame.with_columns(
        agent=pl.Series(raw["icao24"].to_pylist()),
        t=pl.Series(column["timestamp"].astype(np.int64) * 1000),
        **{
            name: ((pl.col(axis) - np.float32(low)) * np.float32(1 / size)).cast(pl.Int32)
            for name, axis, low, size in (("cx", "x", -3e5, 1e4), ("cy", "y", -2.5e5, 1e4), ("cz", "z", 0, 3e3))
        },
        **{f"{name}_q": pl.Series(np.rint(values[name].astype(np.float32).astype(float) * s).astype(np.int64))
           for name, s in METRICS.items()},
    )  # fmt: skip
    return frame.filter(pl.col("speed_mps") >= 100)


def _recomputed(window: str, panes: int) -> pl.DataFrame:
    """Windows of `panes` minutes that start every minute, by polars alone."""
    events = _events().with_columns(minute=pl.col("t") // MINUTE_US)
    spread = pl.concat(
        [events.with_columns(start_us=(pl.col("minute") - back) * MINUTE_US) for back in range(panes)]
    )
    statistics = [pl.len().alias("count"), pl.col("agent").n_unique().alias("agents")]
    for name, steps in METRICS.items():
        q = pl.col(f"{name}_q")
        statistics += [
            q.len().alias(f"{name}_count"), q.sum().alias(f"{name}_sum"),
            (q.mean() / steps).alias(f"{name}_mean"), (q.cast(pl.Float64).var(ddof=0) / steps**2).alias(f"{name}_var"),
            pl.col(name).min().cast(pl.Float64).alias(f"{name}_min"),
            pl.col(name).max().cast(pl.Float64).alias(f"{name}_max"),
        ]  # fmt: skip
    keys = ["start_us", "cx", "cy", "cz"]
    return spread.group_by(keys).agg(statistics).sort(keys).with_columns(window=pl.lit(window))


@pytest.mark.parametrize(("window", "panes"), [("minute", 1), ("five_minutes", 5)])
def test_cells_equal_an_independent_recomputation(
    flights: tuple[dict[str, Any], Path], window: str, panes: int
) -> None:
    """Every row of `cells.parquet` equals what polars computes from the raw file."""
    got = pl.read_parquet(flights[1] / "cells.parquet").with_columns(pl.col("window").cast(pl.String))
    got = got.filter(pl.col("window") == window).sort("start_us", "cx", "cy", "cz")
    expected = _recomputed(window, panes)
    assert len(got) == len(expected) > 10_000
    assert (got["end_us"] - got["start_us"]).unique().to_list() == [panes * MINUTE_US]
    for name in expected.columns:
        if name.endswith(("_mean", "_var")):
            np.testing.assert_allclose(got[name], expected[name], rtol=1e-9, atol=1e-6, err_msg=name)
        elif name.endswith("_sum"):
            np.testing.assert_array_equal(
                got[name], expected[name].to_numpy() / METRICS[name.removesuffix("_sum")]
            )
        else:
            assert got[name].to_list() == expected[name].to_list(), name


def test_nearly_all_flights_are_windowed(flights: tuple[dict[str, Any], Path]) -> None:
    """In order of time nothing is late; the files hold what the summary says."""
    summary, out = flights
    assert summary["events_in"] == 139_098
    assert summary["late"] == summary["dead_letters"] == 0
    assert summary["windowed"] > 0.99 * summary["events_in"]
    assert summary["cells"] == pq.read_metadata(out / "cells.parquet").num_rows
    alerts = pl.read_parquet(out / "alerts.parquet")
    assert summary["alerts"] == len(alerts) > 0
    assert set(alerts["kind"]) == {"agent", "cell"}
    assert alerts["reason"].str.len_chars().min() > 10
    assert json.loads((out / "summary.json").read_text()) == summary
    assert sorted(p.name for p in out.iterdir()) == [
        "alerts.parquet", "aura.log", "cells.parquet", "dead_letters.parquet", "late.parquet", "summary.json",
    ]  # fmt: skip


def test_scores_and_models_are_published(flights: tuple[dict[str, Any], Path]) -> None:
    """Every row names the model that scored it, and has its score."""
    cells = pl.read_parquet(flights[1] / "cells.parquet")
    assert cells["score"].is_finite().all()
    assert cells["model"].n_unique() == 1
    assert len(cells["model"].cast(pl.String)[0]) == 64


@pytest.mark.parametrize(
    "options",
    [
        ("--backend", "onnx-cpu"),
        ("--set", "input.batch_rows=1024", "--set", "shards.count=5", "--set", "sink.partitions=1"),
    ],
    ids=["onnx", "other sizes"],
)
def test_the_same_digest_from_every_way(
    flights: tuple[dict[str, Any], Path], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Backend, batch size, shards and writers do not change a bit of the exact results."""
    assert run(tmp_path, *options)["digest"] == flights[0]["digest"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_the_same_digest_from_every_file(
    flights: tuple[dict[str, Any], Path], tmp_path: Path, suffix: str
) -> None:
    """CSV and JSON lines of the same flights give the digest of Parquet."""
    path = tmp_path / f"flights.{suffix}"
    if suffix == "csv":
        pyarrow.csv.write_csv(pq.read_table(FLIGHTS), path)
    else:
        pl.read_parquet(FLIGHTS).write_ndjson(path)
    assert run(tmp_path / "out", "--source", str(path))["digest"] == flights[0]["digest"]


def test_twice_is_the_same_file(flights: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    """A second run writes the same bytes."""
    assert run(tmp_path)["digest_scored"] == flights[0]["digest_scored"]
    assert (tmp_path / "cells.parquet").read_bytes() == (flights[1] / "cells.parquet").read_bytes()


def test_as_is_most_flights_are_late(tmp_path: Path) -> None:
    """In the file's own order, by aircraft, nearly all events are late; they are kept, whole."""
    summary = run(tmp_path, "--as-is")
    late = pl.read_parquet(tmp_path / "late.parquet")
    assert summary["late"] == len(late) > 100_000
    assert late["behind_us"].min() > 30_000_000
    assert late.select("topic", "partition", "offset", "row").is_duplicated().sum() == 0
    assert {"agent_id", "time_us", "x_m", "speed_mps"} <= set(late.columns)


def test_simulated_agents(tmp_path: Path) -> None:
    """The reference profile runs on a population of any size, and prints the steps of its start."""
    small = ("--set", "simulate.agents=2000", "--set", "simulate.duration=1s")
    done = aura("run", "--profile", "reference", "--out", str(tmp_path), *small)
    steps = [line.split()[1] for line in done.stdout.splitlines()[:6]]
    assert steps == ["backends", "resources", "models", "flows", "services", "agents"]
    assert json.loads((tmp_path / "summary.json").read_text())["windowed"] == 20_000
    one = run(tmp_path / "one", "--profile", "reference", *small, "--set", "input.partitions=1")
    three = run(tmp_path / "three", "--profile", "reference", *small, "--set", "input.partitions=3")
    assert one["digest"] == three["digest"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--source", "nothing.parquet"), "nothing.parquet"),
        (("--sink", "floor"), "allowed are files and kafka"),
        (("--backend", "abacus"), "kernels.backend"),
        (("--set", "windows.minute.lenght=5m"), "lenght"),
        (("--set", 'stages=[{"kind":"filter","where":"sped_mps > 2"},{"kind":"aggregate"}]'), "speed_mps"),
        (("--set", 'input.mapping.agent="icao"'), "icao24"),
        (("--set", 'metrics.weight={"resolution":1,"low":0,"high":9}'), "weight"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    """A wrong option or key ends in one message that names it, with exit code 2 and no traceback."""
    done = aura("run", "--out", str(tmp_path / "out"), *arguments, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failing_step_is_one_message(tmp_path: Path) -> None:
    """What goes wrong while the flow runs is one message that names the step; the backtrace is in the log."""
    # The sink fails at its first results: a file has the name of the folder that it needs.
    code = "import shutil, service.job as job; from pathlib import Path; import sys\n"
    code += "job.clear_parts = lambda directory: (directory / '.parts').write_text('in the way')\n"
    code += f"sys.argv = ['aura', 'run', '--out', {str(tmp_path / 'out')!r}]\n"
    code += "from service.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "step sink failed" in done.stderr
    assert "File exists" in done.stderr
    assert "panicked" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in (tmp_path / "out" / "aura.log").read_text()


def test_the_engine_runs_the_same_flow(flights: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    """`python -m bytewax.run` runs the flow that `aura run` runs, and `bytewax.visualize` draws it."""
    flow = "flows.cells:from_env()"
    for module, *more in (("bytewax.run", flow), ("bytewax.visualize", flow, "-o", "mermaid")):
        done = subprocess.run(
            [sys.executable, "-m", module, *more],
            cwd=ROOT,
            env=os.environ | {"AURA_SINK__DIRECTORY": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert "combine" in done.stdout
    summary = json_of("collect", "--out", str(tmp_path), "--json")
    assert summary["digest"] == flights[0]["digest"]


def test_a_gpu_that_is_asked_for_and_not_there_is_refused(tmp_path: Path) -> None:
    """The run does not begin on another backend in silence: the message says what to use."""
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is one")
    refused = aura("run", "--backend", "onnx-cuda", "--out", str(tmp_path / "out"), check=False)
    assert refused.returncode == 2
    assert "Use the backend numpy or onnx-cpu" in refused.stderr
