"""A flow that does less: what it leaves out follows from event time and the decisions alone, and what it gives is marked."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flows.settings import load
from kernels.panes import Window
from kernels.sampling import in_sample
from operators.batch import Batch, Origin
from operators.closing import Closed
from operators.decisions import Decision, DecisionLog, Schedule, encode
from operators.degrade import Degrade
from operators.kafka_reader import read_committed
from operators.result import KINDS, Result
from service.console import Console
from service.job import Job

SECOND = 1_000_000
START = 1_767_225_600 * SECOND
AGENTS = {"simulate.agents": "4000", "simulate.duration": "30s"}


def _log(path: Path, decisions: Sequence[Decision]) -> Path:
    path.write_bytes(b"".join(encode(each) + b"\n" for each in decisions))
    return path


def _run(out: Path, log: Path | None, **more: str) -> tuple[dict[str, Any], Any]:
    options = AGENTS | {"sink.directory": str(out)} | {k.replace("__", "."): v for k, v in more.items()}
    settings = load("distributed", options).settings
    summary = Job(settings, sink="files", until_end=True, console=Console(quiet=True), obeys=log).run()
    return summary, pq.read_table(out / "cells.parquet")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of everything, ten at major, ten of everything."""
    return _log(
        tmp_path_factory.mktemp("log") / "d.jsonl",
        [Decision(START + 10 * SECOND, 2), Decision(START + 20 * SECOND, 0)],
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, log: Path) -> tuple[Any, Any, dict[str, Any]]:
    """The cells of a whole run and of one that degrades, and the summary of that."""
    _, whole = _run(tmp_path_factory.mktemp("whole"), None)
    summary, less = _run(tmp_path_factory.mktemp("less"), log)
    return whole, less, summary


def test_estimates_are_marked_and_right(both: tuple[Any, Any, dict[str, Any]]) -> None:
    """Windows of the sample have counts of all agents, within the error that they name; the others are exact, error 0."""
    whole, less, summary = both
    tumbling = pc.field("window") == "second"
    for first, level in ((0, 0), (10, 2), (20, 0)):
        span = (
            tumbling
            & (pc.field("start_us") >= START + first * SECOND)
            & (pc.field("end_us") <= START + (first + 10) * SECOND)
        )
        exact, found = whole.filter(span), less.filter(span)
        assert set(found["degradation"].to_pylist()) == {level}
        total, estimate = pc.sum(exact["count"]).as_py(), pc.sum(found["count"]).as_py()
        if level == 0:
            same = ["start_us", "cx", "cy", "cz", "count", "agents", "speed_mps_sum", "speed_mps_max"]
            assert found.select(same).equals(exact.select(same))
            assert set(found["error"].to_pylist()) == {0}
        else:
            assert 0 < abs(estimate / total - 1) < 4 * (0.9 / 400) ** 0.5
            assert (found["count"].to_numpy() % 10 == 0).all()
            agents = found["agents"].to_numpy() // 10
            assert found["error"].to_numpy() == pytest.approx((0.9 / agents) ** 0.5, rel=1e-6)
    assert (
        summary["shed"]
        == 4000 * 10 * 10
        - pc.sum(less.filter(tumbling & (pc.field("degradation") == 2))["count"]).as_py() // 10
    )
    assert summary["level"] == "major"


def test_half_sampled_windows_are_left_out(both: tuple[Any, Any, dict[str, Any]]) -> None:
    """A sliding window through which a change of sampling runs is not there; each other window is."""
    whole, less, _ = both
    sliding = pc.field("window") == "ten_seconds"
    starts = {
        name: set(table.filter(sliding)["start_us"].to_pylist())
        for name, table in (("whole", whole), ("less", less))
    }
    gone = {(start - START) // SECOND for start in starts["whole"] - starts["less"]}
    assert gone == {*range(1, 10), *range(11, 20)}


@pytest.mark.parametrize(
    "more", [{"input__batch_rows": "1024"}, {"shards__count": "5"}, {"sink__partitions": "1"}]
)
def test_nothing_else_changes_it(
    both: tuple[Any, Any, dict[str, Any]], log: Path, tmp_path: Path, more: dict[str, str]
) -> None:
    """Under the same decisions the results are the same whatever the batches, the shards and the writers."""
    again, _ = _run(tmp_path, log, **more)
    for name in ("digest", "digest_scored", "windowed", "shed"):
        assert again[name] == both[2][name]


def test_what_was_done_live_is_done_again(tmp_path: Path) -> None:
    """A run that decides for itself leaves its decisions beside its results; under them a replay comes to the same."""
    live = {
        "degradation__enabled": "true",
        "degradation__every": "10ms",
        "degradation__memory": "[0.0, 0.0, 0.99, null]",
    }
    summary, _ = _run(tmp_path / "live", None, **live)
    assert summary["level"] == "major"
    assert summary["shed"] > 0
    again, _ = _run(tmp_path / "again", tmp_path / "live" / "decisions.jsonl")
    assert {k: again[k] for k in ("digest", "digest_scored", "shed")} == {
        k: summary[k] for k in ("digest", "digest_scored", "shed")
    }
    lines = [json.loads(line) for line in (tmp_path / "live" / "decisions.jsonl").read_text().splitlines()]
    assert "memory" in lines[0]["reason"]


def test_optional_results(tmp_path: Path) -> None:
    """From minor on no agents and a quarter of the fields go out; before, all of them."""
    log = DecisionLog(_log(tmp_path / "d.jsonl", [Decision(1000, 1)]), 100, obeyed=True)
    degrade = Degrade(log, {}, gated={}, asks={}, field_us=100)

    def result(kind: str, time_us: int) -> Result:
        columns = {name: np.zeros(1, KINDS[kind].dtype(name)) for name in KINDS[kind].columns}
        return Result(kind, f"{time_us}/0", columns | {"time_us": np.array([time_us])})

    assert [degrade.keeps(result("agents", t)) for t in (900, 1000, 1200)] == [True, False, False]
    kept = [t for t in range(0, 2000, 100) if degrade.keeps(result("fields", t))]
    assert kept == [*range(0, 1000, 100), 1200, 1600]


def test_no_partition_is_left_out() -> None:
    """Whatever the number of partitions, each has a tenth of its agents in the sample."""
    from kernels.hashing import partition_of  # noqa: PLC0415

    ids = np.arange(200_000, dtype=np.uint64)
    for partitions in (2, 5, 8, 10):
        for number in range(partitions):
            own = ids[partition_of(ids, partitions) == number]
            assert in_sample(own, 10).mean() == pytest.approx(0.1, abs=0.01)


def test_topics_carry_the_level(
    kafka: str, topics: Callable[..., str], both: tuple[Any, Any, dict[str, Any]], log: Path, tmp_path: Path
) -> None:
    """In topics the level is a header of each record, and what is read back has the digests of the files."""
    prefix = topics()
    options = AGENTS | {"sink.directory": str(tmp_path), "kafka.bootstrap": kafka, "kafka.prefix": prefix}
    settings = load("distributed", options).settings
    summary = Job(settings, sink="kafka", until_end=True, console=Console(quiet=True), obeys=log).run()
    for name in ("digest", "digest_scored", "shed"):
        assert summary[name] == both[2][name]
    parts = {(f"{prefix}aura.cells", number): 0 for number in range(4)}
    found = [dict(record.headers) for record in read_committed({"bootstrap_servers": [kafka]}, parts)]
    assert {headers["degradation"] for headers in found} == {b"0", b"2"}


def _batch(time_us: Sequence[int], **columns: Sequence[int]) -> Batch:
    arrays = {"time_us": np.array(time_us, np.int64), "agent_id": np.arange(len(time_us), dtype=np.uint64)}
    arrays |= {name: np.array(values, np.uint32) for name, values in columns.items()}
    return Batch(arrays, Origin.nowhere("t", 0), 0, max(time_us))


def test_no_cause_is_asked_for_that_may_be_left_out(tmp_path: Path) -> None:
    """In a sample, and for as long after it as a cause may lie back, events name none; their other columns stay."""
    log = DecisionLog(
        _log(tmp_path / "d.jsonl", [Decision(100, 2), Decision(200, 1), Decision(300, 0)]), 100, obeyed=True
    )
    degrade = Degrade(log, {}, gated={}, asks={}, field_us=1)
    times = [50, 99, 100, 199, 200, 249, 250, 400]
    degrade.shed(_batch([500]))
    found = degrade.mute(_batch(times, cause_seq=[7] * 8), 50)
    assert found.columns["cause_seq"].tolist() == [7, 7, 0, 0, 0, 0, 7, 7]
    assert found.columns["time_us"].tolist() == times


def test_a_gate_takes_events_and_leaves_the_watermark(tmp_path: Path) -> None:
    """A step that is not needed gets no event of that time; the batch that others see is another one."""
    log = DecisionLog(_log(tmp_path / "d.jsonl", [Decision(100, 3), Decision(200, 2)]), 100, obeyed=True)
    degrade = Degrade(log, {}, gated={}, asks={}, field_us=1)
    degrade.shed(_batch([500]))
    batch = _batch([50, 150, 250])
    gated = degrade.gate(batch, 3)
    assert gated.columns["time_us"].tolist() == [50, 250]
    assert (gated.watermark_us, len(batch)) == (250, 3)


def test_a_sliding_window_has_half_its_starts() -> None:
    """Of whole sampled windows that overlap every second start is there, tumbling ones all; before and after, all."""
    schedule = Schedule([Decision(100, 2), Decision(200, 0)])
    degrade = Degrade(
        DecisionLog(Path("none"), 10), {"w": Window("w", 20, 10, 0), "t": Window("t", 10, 10, 0)},
        gated={}, asks={}, field_us=1,
    )  # fmt: skip

    def starts(name: str) -> list[int]:
        at = np.arange(0, 300, 10)
        ints, floats = np.ones((1, 30), np.int64), np.empty((0, 30), np.float32)
        closed = Closed(0, name, at, at, None, ints, floats, np.zeros(30, np.int32))
        return degrade._scale(closed, schedule).start_us.tolist()

    assert starts("t") == [*range(0, 300, 10)]
    assert starts("w") == [*range(0, 90, 10), *range(100, 190, 20), *range(200, 300, 10)]


def test_from_minor_on_nothing_is_traced(tmp_path: Path) -> None:
    """A batch keeps its trace until its watermark is at minor."""
    log = DecisionLog(_log(tmp_path / "d.jsonl", [Decision(100, 1)]), 100, obeyed=True)
    degrade = Degrade(log, {}, gated={}, asks={}, field_us=1)
    batches = [_batch([time_us]) for time_us in (50, 150)]
    for batch in batches:
        batch.trace = "00-1-2-01"
    assert [degrade.shed(batch).trace for batch in batches] == ["00-1-2-01", ""]


def test_every_file_has_the_level(tmp_path: Path) -> None:
    """Rows of the further flows and alerts have the level of their time in a column; a run without decisions has none."""
    log = _log(tmp_path / "d.jsonl", [Decision(START + 10 * SECOND, 1)])
    for name, obeyed in (("levelled", log), ("plain", None)):
        _run(tmp_path / name, obeyed, flows='["cells", "hierarchy", "population"]', simulate__agents="500")
        for kind in ("levels", "regions"):
            table = pq.read_table(tmp_path / name / f"{kind}.parquet")
            assert ("degradation" in table.column_names) == (obeyed is not None)
            if obeyed is not None:
                after_us, level = (
                    table["time_us"].to_numpy() - (START + 10 * SECOND),
                    table["degradation"].to_numpy(),
                )
                assert not level[after_us < 0].any()
                assert level[after_us > SECOND].all()  # a result of a tick has the level of its first row
    digests = [
        json.loads((tmp_path / n / "summary.json").read_text())["digests"]["levels"]
        for n in ("levelled", "plain")
    ]
    assert digests[0] == digests[1]
