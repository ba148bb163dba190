"""Verify: equal results are equal whatever their order, scores and revisions; the first difference is the first."""

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from hypothesis import given, settings
from typer.testing import CliRunner

from kernels.errors import AuraError, ConfigError
from operators.compare import Results, compare
from service.commands.verify import command
from service.verify import verify

EXACT = ("count", "speed_mps_sum")


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    """A table of (window, start, cx, count, sum), windows of 60 us."""
    window, start_us, cx, count, total = ([row[i] for row in rows] for i in range(5))
    return pa.table(
        {
            "window": pa.array(window, pa.string()).dictionary_encode(),
            "start_us": pa.array(start_us, pa.int64()),
            "end_us": pa.array([start + 60 for start in start_us], pa.int64()),
            **{
                name: pa.array(cx if name == "cx" else [0] * len(rows), pa.int32())
                for name in ("cx", "cy", "cz")
            },
            "count": pa.array(count, pa.int64()),
            "speed_mps_sum": pa.array(total, pa.float64()),
            "score": pa.array(np.full(len(rows), np.nan, np.float32)),
            "model": pa.array([None] * len(rows), pa.string()),
            "revision": pa.array([0] * len(rows), pa.int32()),
        }
    )


def whole(cells: pa.Table) -> Results:
    """Results that are complete."""
    return Results(cells, {})


keys = st.tuples(
    st.sampled_from(["a", "b", "z"]), st.integers(-2, 3).map(lambda n: n * 60), st.integers(0, 3)
)
values = st.tuples(st.integers(1, 3), st.sampled_from([0.0, 1.5, float("nan")]))
cells = st.dictionaries(keys, values, max_size=12)


def rows_of(found: dict[Any, Any]) -> list[tuple[Any, ...]]:
    """The rows of a table, in the order of a mapping."""
    return [(*key, *value) for key, value in found.items()]


def differences(live: dict[Any, Any], replay: dict[Any, Any]) -> list[Any]:
    """The cells that differ, in order; in plain Python."""
    return [key for key in sorted({*live, *replay}) if repr(live.get(key)) != repr(replay.get(key))]


@settings(max_examples=150)
@given(cells, cells, st.randoms())
def test_the_first_difference_is_the_first(live: dict[Any, Any], other: dict[Any, Any], rng: Any) -> None:
    """Of two sets of results that share most rows, the first cell that differs and both its rows are named."""
    replay = {key: value for key, value in (live | other).items() if rng.random() < 0.9}
    shuffled = rows_of(replay)
    rng.shuffle(shuffled)
    found = compare(whole(table(rows_of(live))), whole(table(shuffled)))
    wrong = differences(live, replay)
    assert (found.digests[0] == found.digests[1]) == (not wrong)
    assert found.windows == len({key[:2] for key in (*live, *replay)})
    assert found.differing == len({key[:2] for key in wrong})
    if not wrong:
        assert found.first is None
        return
    first = found.first
    assert first is not None
    assert (first.window, first.start_us, first.cell) == (*wrong[0][:2], (wrong[0][2], 0, 0))
    for row, side in ((first.live, live), (first.replay, replay)):
        expected = side.get(wrong[0])
        assert repr(None if row is None else tuple(row[name] for name in EXACT)) == repr(expected)


@settings(max_examples=50)
@given(cells, st.integers(-2, 3), st.integers(-2, 3))
def test_windows_that_are_not_closed_in_both_do_not_count(live: dict[Any, Any], low: int, high: int) -> None:
    """A replay that holds the windows of a range, and scraps of others, equals the whole within that range."""
    low_us, high_us = low * 60, high * 60

    def is_closed(key: Any) -> bool:
        return key[0] != "a" or (low_us <= key[1] and key[1] + 60 <= high_us)

    replay = {key: value if is_closed(key) else (9, 9.0) for key, value in live.items()}
    found = compare(whole(table(rows_of(live))), Results(table(rows_of(replay)), {"a": (low_us, high_us)}))
    assert found.digests[0] == found.digests[1]
    assert found.first is None
    assert found.left_out == (sum(not is_closed(key) for key in live),) * 2
    assert found.windows == len({key[:2] for key in live if is_closed(key)})


def test_scores_models_and_revisions_do_not_count() -> None:
    """Results of another backend, or amended ones, are equal; zero has no sign."""
    live = table([("a", 0, 0, 1, 0.0)])
    replay = table([("a", 0, 0, 1, -0.0)]).drop_columns(["score", "model", "revision"])
    replay = replay.append_column("revision", pa.array([3], pa.int32()))
    assert verify(whole(live), whole(replay))["equal"]


def test_results_of_other_configurations_are_not_compared() -> None:
    """Other columns are an error that names them; so is having no window in common."""
    live = table([("a", 0, 0, 1, 0.0)])
    with pytest.raises(AuraError, match=r"only the first has \['speed_mps_sum'\], only the second \[\]"):
        compare(whole(live), whole(live.drop_columns(["speed_mps_sum"])))
    with pytest.raises(ConfigError, match="no window is closed in both"):
        verify(whole(live), Results(live, {"a": (60, 120)}))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Two results that differ in one cell of the second window."""
    rows = [("minute", 0, 1, 2, 5.0), ("minute", 60, 1, 2, 5.0), ("minute", 120, 1, 2, 5.0)]
    for name, changed in (("live", rows[1]), ("replay", ("minute", 60, 1, 3, float("nan")))):
        (tmp_path / name).mkdir()
        pq.write_table(table([rows[0], changed, rows[2]]), tmp_path / name / "cells.parquet")
    return str(tmp_path / "live"), str(tmp_path / "replay")


def run(*arguments: str) -> Any:
    """Run the command."""
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def test_the_command_prints_both_rows_and_exits_with_1(folders: tuple[str, str]) -> None:
    """Where results differ, the window, the cell and both rows are printed; what differs is marked."""
    found = run(*folders)
    assert found.exit_code == 1
    lines = found.stdout.splitlines()
    assert lines[:2] == ["different: 1 of 3 windows", "first in minute from 60, cell (1, 0, 0)"]
    assert [line.split() for line in lines if line.startswith("!")] == [
        ["!", "count", "2", "3"], ["!", "speed_mps_sum", "5.0", "None"],
    ]  # fmt: skip
    assert run(folders[0], folders[0]).exit_code == 0
    assert run(folders[0], folders[0]).stdout.startswith("equal: 3 windows, digest ")


def test_the_command_prints_json(folders: tuple[str, str]) -> None:
    """With --json both rows are in one object, NaN as null."""
    found = run(*folders, "--json")
    said = json.loads(found.stdout)
    assert (found.exit_code, said["equal"], said["differing"], said["windows"]) == (1, False, 1, 3)
    assert (said["first"]["live"]["count"], said["first"]["replay"]["speed_mps_sum"]) == (2, None)


def test_the_range_of_a_replay_is_in_its_summary(folders: tuple[str, str]) -> None:
    """`closed` in summary.json says which windows are compared; null is no bound. A row that is missing is said to be."""
    live, replay = folders
    summary = Path(replay) / "summary.json"
    summary.write_text(json.dumps({"closed": {"minute": [120, None]}}))
    found = run(live, replay)
    assert (found.exit_code, found.stdout.splitlines()[0][:16]) == (0, "equal: 1 windows")
    assert f"2 rows of {live} are in windows that are not closed in both" in found.stdout
    summary.write_text(json.dumps({"closed": {"minute": [None, 120]}}))
    pq.write_table(table([("minute", 0, 1, 2, 5.0)]), Path(replay) / "cells.parquet")
    found = run(live, replay)
    assert found.exit_code == 1
    assert f"no such row in {replay}" in found.stdout


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    """Where there are no results, the error says so."""
    found = run(str(tmp_path), str(tmp_path))
    assert isinstance(found.exception, ConfigError)
    assert "holds no cells.parquet" in str(found.exception)
