"""Reliability 3: nested or huge msgpack and JSON, extension types, absurd counts."""

from collections.abc import Callable

import msgpack
import pytest
from stream import FRAME, JSON, MSGPACK, Stream, events

from kernels.frame import encode_frame

MIB = 2**20
GROWTH_MIB = 128
"""What a run may have more than one without the hostile records, none of which announces less than 4 GiB or so."""


def frame(**more: object) -> bytes:
    """A frame of one event, with what is said of it changed."""
    columns = {
        name: [code, b"\0" * int(code[-1])]
        for name, code in (
            ("agent_id", "<u8"),
            ("time_us", "<i8"),
            ("x_m", "<f4"),
            ("y_m", "<f4"),
            ("z_m", "<f4"),
        )
    }
    packed: bytes = msgpack.packb({"v": 1, "n": 1, "c": columns} | more)
    return packed


HOSTILE = {
    "arrays in arrays": b"\x91" * 4 * MIB,
    "maps in maps": b"\x81\xa1a" * MIB,
    "arrays of 4 G, one in the other": b"\xdd\xff\xff\xff\xff" * 1_000,
    "a map of 4 G": b"\xdf\xff\xff\xff\xff",
    "bytes of 4 GiB": b"\x81\xa1c\xc6\xff\xff\xff\xff",
    "a text of 4 GiB": b"\x81\xdb\xff\xff\xff\xff",
    "extension types": b"\xc7\x05\x01hello",
    "an extension type of 4 GiB": b"\x81\xa1v\xc9\xff\xff\xff\xff\x05",
    "a time as an extension type": msgpack.packb(msgpack.Timestamp(1, 2)),
    "an event with an extension type": msgpack.packb({"agent_id": msgpack.ExtType(5, b"x" * 100)}),
    "4 G events": frame(n=2**32 - 1),
    "a negative number of events": frame(n=-1),
    "65,536 events in 8 bytes": frame(n=65_536),
    "a version from the future": frame(v=2),
    "a version of another kind": frame(v=[1]),
    "objects as a column": frame(c={"agent_id": ["|O", b"\0" * 8]}),
    "a type of Python": frame(c={"agent_id": ["O", b"\0" * 8]}),
    "a key twice": b"\x82\xa1v\x01\xa1v\x01",
    "a key that is no text": b"\x81\x01\x01",
    "more names than events can have": frame(names=dict.fromkeys(range(70000), "x")),
    "a million empty rows": b"\xdd\x00\x0f\x42\x40" + b"\x80" * 1_000_000,
    "one row of 65,535 keys": b"\xde\xff\xff" + b"".join(b"\xa4%04x\x01" % k for k in range(65_535)),
    "JSON in JSON": b"[" * 4 * MIB,
    "JSON objects in JSON objects": b'{"a":' * MIB,
    "an integer of 4 million digits": b'{"agent_id": ' + b"9" * 4 * MIB + b"}",
    "a number beyond all": b'{"agent_id": 1, "time_us": 1e999999999, "x_m": 1, "y_m": 1, "z_m": 1}',
    "a text that is half of a character": b'{"agent_id": "\\ud800"}',
    "a text without end": b'{"agent_id": "' + b"x" * 4 * MIB + b'"}',
}


def test_each_is_refused_and_memory_does_not_grow(make_stream: Callable[[], Stream]) -> None:
    """One dead letter each under every content type, with its bytes; the run takes no more memory for them."""
    dirty, clean = make_stream(), make_stream()
    for stream in (dirty, clean):
        stream.send(0, encode_frame(events([1, 2])))
    sent = {
        dirty.send(0, value, form): value for value in HOSTILE.values() for form in (FRAME, MSGPACK, JSON)
    }
    for stream in (dirty, clean):
        stream.send(0, encode_frame(events([3, 14], 7)))
    (found, mib), (expected, least_mib) = dirty.run_measured(), clean.run_measured()
    refused = {d["offset"] for d in found.dead if d["row"] == -1}
    rows = {d["offset"] for d in found.dead if d["row"] >= 0}
    assert refused | rows == set(sent)
    assert all(sent[d["offset"]] == d["value"] for d in found.dead if d["row"] == -1)
    assert found.summary["digest"] == expected.summary["digest"]
    assert mib - least_mib < GROWTH_MIB + sum(map(len, sent.values())) // MIB


@pytest.mark.parametrize("name", ["a million empty rows", "more names than events can have"])
def test_what_is_well_formed_but_too_much_is_refused_as_such(name: str, stream: Stream) -> None:
    """The reason says that a limit was passed, and the detail which."""
    form = FRAME if "names" in name else MSGPACK
    offset = stream.send(0, HOSTILE[name], form)
    (letter,) = stream.run().dead
    assert (letter["offset"], letter["reason"]) == (offset, "too_large")
    assert "at most" in letter["detail"]
