"""Reliability 1: random bytes as a record."""

import random
from collections.abc import Callable
from pathlib import Path

from stream import FRAME, JSON, MSGPACK, Stream, events

from flows.settings import load
from kernels.frame import encode_frame
from operators.batch import FATES
from service.console import Console
from service.job import Job

FORMS = (FRAME, MSGPACK, JSON, None, "application/vnd.aura.frame; v=2", "text/html", "")


def test_each_is_one_dead_letter_with_its_origin(make_stream: Callable[[], Stream]) -> None:
    """Whatever content type it claims; the bytes are kept, and the events around it are as if it had not been."""
    rng, dirty, clean = random.Random(1), make_stream(), make_stream()
    good = [encode_frame(events([10 * k, 10 * k + 1], 2 * k, speed_mps=[k, 1])) for k in range(6)]
    junk: dict[tuple[int, int], bytes] = {}
    for number, frame in enumerate(good):
        partition = number % 2
        records = [(rng.randbytes(rng.randrange(16, 5_000)), rng.choice(FORMS)) for _ in range(40)]
        offsets = dirty.send_all(partition, records)
        junk |= {(partition, at): value for at, (value, _) in zip(offsets, records, strict=True)}
        for stream in (dirty, clean):
            stream.send(partition, frame)
    found, expected = dirty.run(), clean.run()
    assert {(d["partition"], d["offset"]): d["value"] for d in found.dead} == junk
    assert {d["row"] for d in found.dead} == {-1}
    assert {d["stage"] for d in found.dead} == {"decode"}
    assert found.summary["events_in"] == len(junk) + 12
    assert found.summary["digest"] == expected.summary["digest"]


def test_records_without_a_value_are_dead_letters(stream: Stream) -> None:
    """A record may have none at all, or an empty one."""
    offsets = [stream.send(0, value, form) for value in (None, b"") for form in (FRAME, MSGPACK, JSON)]
    found = stream.run()
    assert set(found.letters()) == {(0, offset, -1) for offset in offsets}


def test_random_lines_of_a_file_are_dead_letters(tmp_path: Path) -> None:
    """A file of JSON lines of which most are noise gives its events, and each other line whole."""
    rng = random.Random(2)
    noise = [
        rng.randbytes(rng.randrange(16, 400)).replace(b"\n", b"").replace(b"\r", b"") for _ in range(200)
    ]
    event = '{"agent_id": %d, "time_us": %d, "x_m": 5, "y_m": 5, "z_m": 5, "speed_mps": 1, "energy": 1}'
    good = [(event % (k, k * 10**6)).encode() for k in range(50)]
    lines = noise + good
    rng.shuffle(lines)
    path = tmp_path / "noise.jsonl"
    path.write_bytes(b"\n".join(lines))
    given = {"input.source": str(path), "sink.directory": str(tmp_path / "out")}
    settings = load("minimal", given).settings
    summary = Job(settings, "files", until_end=False, console=Console(quiet=True)).run()
    assert (summary["windowed"], summary["dead_letters"]) == (50, 200)
    assert summary["events_in"] == sum(summary[fate] for fate in FATES) == 250
