"""What `make bench` prints and writes; the measuring itself is not tested."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.chart import draw
from benchmarks.report import write
from benchmarks.row import Effort, Row

FAST = Row("fast", 90.0, "M events/s", 80.0, peer="alone", peer_value=100.0)


def test_a_row_knows_whether_its_target_is_met() -> None:
    """From below or from above; one without a target says nothing."""
    assert [FAST.met, Row("slow", 1.0, "s", 0.5, at_most=True).met, Row("shown", 1.0, "s").met] == [
        True,
        False,
        None,
    ]
    assert FAST.ratio == pytest.approx(0.9)


def test_rows_that_cannot_be_measured_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are there with the reason, and the others go on."""

    def broken(effort: Effort) -> Iterator[Row]:
        raise RuntimeError("no broker")
        yield FAST

    monkeypatch.setitem(bench.ROWS, "broken", broken)
    (row,) = bench._measured("broken", Effort())
    assert row.what.startswith("broken")
    assert "no broker" in row.note


def test_results_are_json_and_a_chart(tmp_path: Path) -> None:
    """Of rates with a target, of peers, and of what was not measured."""
    write([FAST, Row("none", float("nan"), "")], tmp_path / "results.json")
    write([FAST, Row("peer", 0.02, "M events/s")], tmp_path / "peers.json")
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["value"] for row in rows] == [90.0, None]
    draw(tmp_path, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_without_rates_there_is_no_chart(tmp_path: Path) -> None:
    """Rows in other units have no place on its axis."""
    write([Row("share", 0.1, "of it")], tmp_path / "results.json")
    draw(tmp_path, tmp_path / "chart.png")
    assert not (tmp_path / "chart.png").exists()
