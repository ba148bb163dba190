"""Results as Kafka records, and back: a record per (window, start, shard), session, late event, dead letter and alert.

    kind          key                                    id, where the key alone is not it
    cells         window/start_us/shard[/part]
    sessions      window/agent/start                     (`operators.kafka_sessions`)
    alerts        agent id, or window/cx/cy/cz           kind/agent/time_us/model, or with the cell for the agent
    late          topic/partition/offset/row
    dead_letters  topic/partition/offset/row
    further       id[/part]                              (`operators.result`)

An id says what a record is about, whatever it says: a restarted writer finds by it what stands there already
(`operators.committed`). A result of more than 4 MiB is cut into parts; the header `part` says which of how many. The
header `revision` numbers what was said about one id; the last in the log is the answer, which is also what compaction
keeps. A result that is taken back has no rows, in 0 of 0 parts.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from kernels.errors import BadRecord
from kernels.frame import FRAME_TYPE, decode_frame, encode_frame
from kernels.schema import MAX_RECORD_BYTES
from operators.batch import Alerts, DeadLetter, Late
from operators.cell_records import CELLS_TYPE, JSON_TYPE, decode_cells, encode_cells, rows_per_record
from operators.cells import Cells
from operators.kafka_sessions import decode_session, encode_sessions
from operators.result import KINDS, Result
from operators.result_records import RESULT_TYPE, decode_result, encode_result
from operators.result_tables import Row
from operators.session import Sessions
from operators.withdrawn import Withdrawn

__all__ = ["TOPICS", "Message", "decode_output", "encode_output"]

TOPICS = {
    "cells": "aura.cells",
    "sessions": "aura.sessions",
    "alerts": "aura.alerts",
    "late": "aura.late",
    "dead_letters": "aura.deadletters",
} | {name: kind.topic for name, kind in KINDS.items()}
"""The topic of each kind of result, before the prefix of the configuration."""

Headers = list[tuple[str, bytes]]
_IN_HEADERS = {
    "window",
    "revision",
    "degradation",
}  # or in the value once: they are the same for a whole record

_NO_PART = b"0/0"


class Message(NamedTuple):
    """A record to write: what it is about, and what it says."""

    kind: str
    id: str
    key: str
    value: bytes
    headers: Headers
    revision: int = 0

    def content(self) -> bytes:
        """Return the hash of what it says, the revision left out."""
        digest = blake2b(self.value, digest_size=16)
        for name, value in self.headers:
            digest.update(b"\0%b\0%d\0%b" % (name.encode(), len(value), value))
        return digest.digest()


def encode_output(
    output: Row, *, json_rows: bool = False, model: Callable[[int], str] | None = None
) -> Iterator[Message]:
    """Yield the records of an output.

    Parameters
    ----------
    json_rows
        Result rows as JSON, for dashboards, instead of columns.
    model
        SHA-256 of the model that scored cells, by the start of their window.
    """
    match output:
        case Cells():
            yield from _encode_cells(output, json_rows, model)
        case Withdrawn():
            yield _encode_withdrawn(output, json_rows)
        case Sessions():
            for key, value, revision in encode_sessions(output):
                yield Message("sessions", key, key, value, [("content-type", JSON_TYPE.encode())], revision)
        case Result():
            yield from _encode_result(output, json_rows)
        case Late():
            yield from _encode_late(output)
        case Alerts():
            yield from map(_encode_alert, output.rows)
        case DeadLetter():
            yield _encode_dead_letter(output)


def decode_output(kind: str, key: str, value: bytes, headers: Mapping[str, bytes]) -> Row:
    """Return the output that a record was made from.

    Raises
    ------
    BadRecord
        It was not made by `encode_output`.
    """
    try:
        if kind in KINDS:
            return decode_result(kind, key, value, headers)
        if kind == "cells":
            return _decode_cells(key, value, headers)
        if kind == "sessions":
            return decode_session(value, int(headers["revision"]))
        if kind == "alerts":
            return Alerts([json.loads(value)])
        return _decode_input(kind, key, value, headers)
    except (KeyError, ValueError) as error:
        raise BadRecord("malformed", f"no {kind} record: {error!r:.200}") from None


def _decode_cells(key: str, value: bytes, headers: Mapping[str, bytes]) -> Cells | Withdrawn:
    if headers.get("part") != _NO_PART:
        return decode_cells(value, headers)
    window, start_us, shard = key.split("/")
    return Withdrawn(int(shard), window, int(start_us), int(headers["revision"]))


def _decode_input(kind: str, key: str, value: bytes, headers: Mapping[str, bytes]) -> Late | DeadLetter:
    topic, partition, offset, row = key.rsplit("/", 3)
    if kind == "late":
        where = (np.array([int(n)]) for n in (offset, row, headers["behind_us"]))
        return Late(topic, int(partition), decode_frame(value).columns, *where)
    texts = (headers[name].decode() for name in ("content-type", "stage", "reason", "detail"))
    return DeadLetter(topic, int(partition), int(offset), int(row), value, *texts)


def _encode_cells(cells: Cells, json_rows: bool, model: Callable[[int], str] | None) -> Iterator[Message]:
    """Cut the rows by window start: what a record holds must not depend on which windows closed together."""
    start_us, revision = cells.columns["start_us"], cells.columns["revision"]
    window = cells.windows[int(cells.columns["window"][0])]
    columns = {name: values for name, values in cells.columns.items() if name not in _IN_HEADERS}
    level = cells.columns.get("degradation")
    rows = rows_per_record(columns, as_json=json_rows)
    headers: Headers = [("content-type", (JSON_TYPE if json_rows else CELLS_TYPE).encode())]
    edges = [0, *(np.flatnonzero(np.diff(start_us)) + 1).tolist(), len(start_us)]
    for first, end in pairwise(edges):
        parts = -(-(end - first) // rows)
        named = [("model", model(int(start_us[first])).encode())] if model else []
        for part in range(parts):
            chunk = slice(first + part * rows, min(first + (part + 1) * rows, end))
            own = {name: values[chunk] for name, values in columns.items()}
            value = encode_cells(window, cells.shard, own, as_json=json_rows)
            key = f"{window}/{start_us[first]}/{cells.shard}" + (f"/{part}" if part else "")
            more = [*headers, *named, ("part", b"%d/%d" % (part, parts))]
            more += [("degradation", b"%d" % level[first])] if level is not None else []
            yield Message("cells", key, key, value, more, int(revision[first]))


def _encode_withdrawn(gone: Withdrawn, json_rows: bool) -> Message:
    none = {"start_us": np.empty(0, np.int64)}
    value = b"[]" if json_rows else encode_cells(gone.window, gone.shard, none, as_json=False)
    key = f"{gone.window}/{gone.start_us}/{gone.shard}"
    headers = [("content-type", (JSON_TYPE if json_rows else CELLS_TYPE).encode()), ("part", _NO_PART)]
    return Message("cells", key, key, value, headers, gone.revision)


def _encode_result(result: Result, json_rows: bool) -> Iterator[Message]:
    content = (JSON_TYPE if json_rows else RESULT_TYPE).encode()
    for number, (value, part) in enumerate(encode_result(result, as_json=json_rows)):
        key = result.id + (f"/{number}" if number else "")
        headers = [("content-type", content), ("part", part.encode())]
        headers += [("degradation", b"%d" % result.degradation)] if result.degradation is not None else []
        yield Message(result.kind, key, key, value, headers, result.revision)


def _encode_late(late: Late) -> Iterator[Message]:
    for i in range(len(late.offset)):
        value = encode_frame({name: values[i : i + 1] for name, values in late.columns.items()})
        place = (late.topic, late.partition, int(late.offset[i]), int(late.row[i]))
        headers = [
            ("content-type", FRAME_TYPE.encode()),
            *_place(place),
            ("behind_us", b"%d" % late.behind_us[i]),
        ]
        key = "/".join(map(str, place))
        yield Message("late", key, key, value, headers)


def _encode_dead_letter(dead: DeadLetter) -> Message:
    place = (dead.topic, dead.partition, dead.offset, dead.row)
    headers = [("content-type", dead.content_type.encode()), *_place(place)]
    headers += [
        (name, getattr(dead, name).encode("utf-8", "replace")) for name in ("stage", "reason", "detail")
    ]
    # A record may be as large as a broker takes; with these headers it would be larger.
    value = dead.value[:MAX_RECORD_BYTES]
    headers += [("cut", b"%d" % len(dead.value))] if len(value) < len(dead.value) else []
    key = "/".join(map(str, place))
    return Message("dead_letters", key, key, value, headers)


def _place(place: tuple[str, int, int, int]) -> Headers:
    return [
        (name, str(value).encode())
        for name, value in zip(("topic", "partition", "offset", "row"), place, strict=True)
    ]


def _encode_alert(row: dict[str, Any]) -> Message:
    if row["kind"] == "agent":
        key = str(row["agent_id"])
        about = f"agent/{key}/{row['time_us']}/{row['model']}"
    else:
        key = "/".join(str(row[name]) for name in ("window", "cx", "cy", "cz"))
        about = f"cell/{key}/{row['start_us']}/{row['model']}"
    # JSON has no infinity; a score may be infinite.
    plain = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
    value = json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
    return Message("alerts", about, key, value, [("content-type", JSON_TYPE.encode())], row["revision"] or 0)
