"""Reliability 2: a record cut at every byte."""

from collections.abc import Callable

import pytest
from stream import FRAME, JSON, MSGPACK, Stream, events

from kernels.frame import encode_frame
from kernels.row_writer import encode_rows

ROWS = events([1, 2, 3], speed_mps=[1, float("nan"), 3])
RECORDS = {
    "frame": (encode_frame(ROWS, names={1: "HB-JCA", 2: "Zürich"}), FRAME),
    "msgpack": (encode_rows(ROWS, "msgpack", per_record=3)[0], MSGPACK),
    "json": (encode_rows(ROWS, "json", per_record=3)[0], JSON),
}


@pytest.mark.parametrize("form", RECORDS)
def test_every_piece_is_a_dead_letter(form: str, make_stream: Callable[[], Stream]) -> None:
    """At whichever byte it ends; the whole records before and behind are events, and nothing else is."""
    whole, content_type = RECORDS[form]
    stream, clean = make_stream(), make_stream()
    for each in (stream, clean):
        each.send(0, whole, content_type)
    pieces = stream.send_all(0, [(whole[:size], content_type) for size in range(len(whole))])
    for each in (stream, clean):
        each.send(0, encode_frame(events([4, 17], 10)))
    found = stream.run()
    assert set(found.letters()) == {(0, offset, -1) for offset in pieces}
    assert [d["value"] for d in found.dead] == [whole[:size] for size in range(len(whole))]
    assert found.summary["windowed"] == 5
    assert found.summary["digest"] == clean.run().summary["digest"]


@pytest.mark.parametrize("form", RECORDS)
def test_every_byte_may_be_another(form: str, stream: Stream) -> None:
    """A flipped byte makes a dead letter or other events, never a failure, and each is accounted for."""
    whole, content_type = RECORDS[form]
    damaged = [
        (whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :], content_type)
        for at in range(len(whole))
        for flip in (1, 0x80)
    ]
    stream.send_all(0, damaged)
    found = stream.run({"event_time.lateness": "0s"})
    assert found.summary["events_in"] >= len(damaged)
    assert found.summary["dead_letters"] > len(damaged) // 4
