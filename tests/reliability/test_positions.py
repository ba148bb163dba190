"""Reliability 5: positions that are NaN, infinite, null or out of the world."""

import json
import math
from collections.abc import Callable

import msgpack
import numpy as np
import pytest
from stream import FRAME, JSON, MSGPACK, Outcome, Stream, events

from kernels.frame import encode_frame

NAN, INF = math.nan, math.inf
BAD = [NAN, INF, -INF, -0.001, 100.0001, 1e30, -1e30, 3e38]
"""The world is 0 to 100 m."""


def all_finite(found: Outcome) -> bool:
    """Whether every number that came out is one: there are no models here, so there are no scores."""
    assert all(cell["speed_mps_count"] == cell["count"] for cell in found.cells)
    numbers = [cell[name] for cell in found.cells for name in cell if name.startswith("speed_mps")]
    return all(map(math.isfinite, numbers))


def row(agent: int, x: object) -> dict[str, object]:
    """An event as a simple producer writes it."""
    return {"agent_id": agent, "time_us": 10**6, "x_m": x, "y_m": 25.0, "z_m": 25.0, "speed_mps": 3.0}


@pytest.mark.parametrize("axis", ["x_m", "y_m", "z_m"])
def test_in_frames(axis: str, make_stream: Callable[[], Stream]) -> None:
    """Each bad row is a dead letter of its own; the rows beside it in the frame count, and are finite."""
    dirty, clean = make_stream(), make_stream()
    size = 2 * len(BAD)
    columns = events([1 + k / 100 for k in range(size)], speed_mps=[2.0] * size)
    clean.send(0, encode_frame({name: values[::2] for name, values in columns.items()}))
    columns[axis] = columns[axis].copy()
    columns[axis][1::2] = np.array(BAD, "<f4")
    offset = dirty.send(0, encode_frame(columns))
    found = dirty.run()
    assert found.letters() == {(0, offset, 2 * k + 1): "position" for k in range(len(BAD))}
    assert found.summary["windowed"] == len(BAD)
    assert found.summary["digest"] == clean.run().summary["digest"]
    assert all_finite(found)


@pytest.mark.parametrize("form", [MSGPACK, JSON])
def test_in_rows(form: str, make_stream: Callable[[], Stream]) -> None:
    """Null, absent, text and numbers out of the world: a dead letter for that row alone."""
    dirty, clean = make_stream(), make_stream()
    bad: list[object] = [None, "12", True, [1], 1e300, -5.0, 101.0]
    if form == MSGPACK:
        bad += [NAN, INF, -INF]
    pack = msgpack.packb if form == MSGPACK else lambda rows: json.dumps(rows).encode()
    offsets = {dirty.send(1, pack([row(k, 25.0), row(100 + k, x)]), form): x for k, x in enumerate(bad)}
    absent = dirty.send(1, pack([row(50, 25.0), {"agent_id": 7, "time_us": 10**6}]), form)
    clean.send(1, pack([row(k, 25.0) for k in [*range(len(bad)), 50]]), form)
    found = dirty.run()
    # A value that is no scalar makes the record something else than flat rows: it goes as a whole.
    whole = {offset for offset, x in offsets.items() if isinstance(x, list)}
    assert set(found.letters()) == {(1, at, -1 if at in whole else 1) for at in [*offsets, absent]}
    assert found.summary["windowed"] == len(bad) + 1 - len(whole)
    assert all_finite(found)
    if not whole:
        assert found.summary["digest"] == clean.run().summary["digest"]


def test_numbers_that_json_does_not_have(stream: Stream) -> None:
    """NaN and Infinity are what Python writes and no JSON: the record is a dead letter."""
    offsets = [stream.send(0, json.dumps([row(1, x)]).encode(), JSON) for x in (NAN, INF, -INF)]
    assert stream.run().letters() == {(0, offset, -1): "malformed" for offset in offsets}


def test_on_the_edge_of_the_world(stream: Stream) -> None:
    """Both edges are in the world: the upper one in the last cell, also where float32 rounds up to it."""
    columns = events([1, 2, 3])
    columns["x_m"] = np.array([0, 100, np.nextafter(np.float32(100), np.float32(0))], "<f4")
    stream.send(0, encode_frame(columns), FRAME)
    found = stream.run()
    assert sorted(cell["cx"] for cell in found.cells) == [0, 1]
    assert found.summary["windowed"] == 3
