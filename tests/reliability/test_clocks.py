"""Reliability 6: producers whose clock is a day ahead, or a year behind."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stream import Stream, events

from flows.settings import load
from kernels.frame import encode_frame
from service.console import Console
from service.job import Job

DAY_S, YEAR_S = 86_400, 365 * 86_400


def bad_rows(now_s: float, at: int) -> tuple[list[float], list[bool]]:
    """Ten events of now in a row, and where a wrong clock stands among them."""
    times = [now_s + k for k in range(10)]
    return [*times[:at], now_s + DAY_S, now_s - YEAR_S, *times[at:]], [True] * at + [False] * 2 + [True] * (
        10 - at
    )


@pytest.mark.parametrize("at", [1, 5, 10])
def test_neighbours_are_unaffected(at: int, make_stream: Callable[[], Stream]) -> None:
    """Ahead of the broker's clock is a dead letter, far behind is late, whole; the others give what they give alone."""
    dirty, clean = make_stream(), make_stream()
    times, good = bad_rows(float(int(time.time())), at)
    columns = events(times)
    offset = dirty.send(0, encode_frame(columns))
    clean.send(0, encode_frame({name: values[np.array(good)] for name, values in columns.items()}))
    found = dirty.run()
    assert found.letters() == {(0, offset, at): "future"}
    (late,) = found.late
    assert (late["offset"], late["row"], late["agent_id"]) == (offset, at + 1, at + 1)
    assert late["time_us"] == columns["time_us"][at + 1]
    assert late["behind_us"] == columns["time_us"][at - 1] - late["time_us"]
    assert found.summary["digest"] == clean.run().summary["digest"]


def test_a_year_behind_may_come_first(make_stream: Callable[[], Stream]) -> None:
    """Before anything else is known it is believed; it counts in a window of its own, and changes no other."""
    dirty, clean = make_stream(), make_stream()
    now_s = float(int(time.time()))
    times = [now_s - YEAR_S, *(now_s + k for k in range(10))]
    speeds = [float(k) for k in range(11)]
    dirty.send(0, encode_frame(events(times, speed_mps=speeds)))
    clean.send(0, encode_frame(events(times[1:], 1, speed_mps=speeds[1:])))
    found, expected = dirty.run(), clean.run()
    old = [cell for cell in found.cells if cell["end_us"] < (now_s - DAY_S) * 1e6]
    assert [cell["count"] for cell in old] == [1]
    young = [cell for cell in found.cells if cell not in old]
    for cell in (*young, *expected.cells):
        assert math.isnan(cell.pop("score"))  # no model
    assert young == expected.cells
    assert (found.summary["late"], found.summary["dead_letters"]) == (0, 0)


def test_another_partition_is_not_moved(make_stream: Callable[[], Stream]) -> None:
    """A partition all of whose clocks are wrong neither closes the windows of another nor keeps them open."""
    dirty, clean = make_stream(), make_stream()
    now_s = float(int(time.time()))
    for k in range(10):
        for stream in (dirty, clean):
            stream.send(0, encode_frame(events([now_s + k, now_s + k - 4])))
        dirty.send(1, encode_frame(events([now_s + DAY_S + k, now_s + 2 * DAY_S], 100)))
    found = dirty.run()
    assert set(found.letters().values()) == {"future"}
    assert found.summary["dead_letters"] == 20
    assert found.summary["digest"] == clean.run().summary["digest"]


def test_in_a_file_a_jump_is_a_dead_letter(tmp_path: Path) -> None:
    """Where no broker stamps the records, the partition's own running maximum and the largest jump decide."""
    columns = events([*range(10), DAY_S * 2, 10, 11])
    columns["agent_id"] = np.zeros(13, "<u8")
    columns |= {name: np.ones(13, "<f4") for name in ("speed_mps", "energy")}
    path = tmp_path / "jump.parquet"
    pq.write_table(pa.table(columns), path)
    given = {"input.source": str(path), "input.as_is": "true", "event_time.max_jump": "1d"}
    settings = load("minimal", given | {"sink.directory": str(tmp_path / "out")}).settings
    summary = Job(settings, "files", until_end=False, console=Console(quiet=True)).run()
    assert (summary["windowed"], summary["dead_letters"], summary["late"]) == (12, 1, 0)
    (letter,) = pq.read_table(tmp_path / "out" / "dead_letters.parquet").to_pylist()
    assert (letter["offset"], letter["reason"]) == (10, "clock_jump")
