"""Results as Kafka records, and back: one record per (window, start, shard), late event, dead letter and alert.

    kind          key                                    id, where the key alone is not it
    cells         window/start_us/shard[/part]
    alerts        agent id, or window/cx/cy/cz           kind/agent/time_us/model, or with the cell for the agent
    late          topic/partition/offset/row
    dead_letters  topic/partition/offset/row

An id says what a record is about, whatever it says: a restarted writer finds by it what stands there already
(`operators.committed`). Result rows travel as msgpack, or as an array of JSON objects:

    {"v": 1, "n": R, "window": text, "shard": number, "c": {name: [dtype, R x itemsize bytes], ...}}

A result of more than 4 MiB is cut into parts; the header `part` says which of how many. Header `revision` numbers what
was said about one id; the last in the log is the answer, which is also what compaction keeps.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

from kernels.errors import BadRecord
from kernels.frame import decode_frame, encode_frame
from kernels.msgpack_reader import MsgpackReader
from kernels.row_writer import encode_rows
from kernels.rows import decode_rows
from kernels.schema import MAX_RECORD_BYTES, MAX_TEXT_BYTES, Columns
from operators.batch import Alerts, DeadLetter, Late
from operators.cells import Cells
from operators.ingest import FRAME_TYPE

__all__ = ["CELLS_TYPE", "JSON_TYPE", "TOPICS", "Message", "decode_cells", "decode_output", "encode_output"]

TOPICS = {
    "cells": "aura.cells",
    "alerts": "aura.alerts",
    "late": "aura.late",
    "dead_letters": "aura.deadletters",
}
"""The topic of each kind of result, before the prefix of the configuration."""
CELLS_TYPE = "application/vnd.aura.cells"
JSON_TYPE = "application/json"

_VERSION = 1
_PART_BYTES = 4 * 1024 * 1024  # well below what a broker takes, and below what a consumer fetches slowly
_JSON_BYTES = 48  # of a value with its name, at most on average
_MAX_ROWS = 2**20
_MAX_COLUMNS = 512
_REQUIRED = ("start_us", "end_us", "cx", "cy", "cz", "count")
_NARROW = {"cx": "<i4", "cy": "<i4", "cz": "<i4", "score": "<f4"}  # all others are <i8 or <f8

Headers = list[tuple[str, bytes]]


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
    output: Cells | Alerts | Late | DeadLetter, *, json_rows: bool = False, model: str | None = None
) -> Iterator[Message]:
    """Yield the records of an output.

    Parameters
    ----------
    json_rows
        Result rows as JSON, for dashboards, instead of columns.
    model
        SHA-256 of the model that scored the cells.
    """
    if isinstance(output, Cells):
        return _encode_cells(output, json_rows, model)
    if isinstance(output, Late):
        return _encode_late(output)
    if isinstance(output, Alerts):
        return (_encode_alert(row) for row in output.rows)
    return iter((_encode_dead_letter(output),))


def decode_output(
    kind: str, key: str, value: bytes, headers: Mapping[str, bytes]
) -> Cells | Alerts | Late | DeadLetter:
    """Return the output that a record was made from.

    Raises
    ------
    BadRecord
        It was not made by `encode_output`.
    """
    try:
        if kind == "cells":
            return decode_cells(value, headers)
        if kind == "alerts":
            return Alerts([json.loads(value)])
        topic, partition, offset, row = key.rsplit("/", 3)
        if kind == "late":
            where = (np.array([int(n)]) for n in (offset, row, headers["behind_us"]))
            return Late(topic, int(partition), decode_frame(value).columns, *where)
        texts = (headers[name].decode() for name in ("content-type", "stage", "reason", "detail"))
        return DeadLetter(topic, int(partition), int(offset), int(row), value, *texts)
    except (KeyError, ValueError) as error:
        raise BadRecord("malformed", f"no {kind} record: {error!r:.200}") from None


def decode_cells(value: bytes, headers: Mapping[str, bytes]) -> Cells:
    """Return the result rows of a record; the revision is the header's.

    Raises
    ------
    BadRecord
        `value` is not of that shape.
    """
    fields = _read_json(value) if headers["content-type"] == JSON_TYPE.encode() else _read(value)
    columns, size = fields["c"], fields["n"]
    if missing := [name for name in _REQUIRED if name not in columns]:
        raise BadRecord("columns", f"required columns missing: {', '.join(missing)}")
    columns["window"] = np.zeros(size, np.int16)
    columns["revision"] = np.full(size, int(headers["revision"]), np.int32)
    return Cells(fields["shard"], columns, [fields["window"]])


def _encode_cells(cells: Cells, json_rows: bool, model: str | None) -> Iterator[Message]:
    """Cut the rows by window start: what a record holds must not depend on which windows closed together."""
    start_us, revision = cells.columns["start_us"], cells.columns["revision"]
    window = cells.windows[int(cells.columns["window"][0])]
    columns = {name: values for name, values in cells.columns.items() if name not in {"window", "revision"}}
    width = sum(_JSON_BYTES if json_rows else values.itemsize for values in columns.values())
    rows = max(_PART_BYTES // width, 1)
    firsts = [0, *(np.flatnonzero(np.diff(start_us)) + 1).tolist(), len(start_us)]
    headers: Headers = [("content-type", (JSON_TYPE if json_rows else CELLS_TYPE).encode())]
    headers += [("model", model.encode())] if model else []
    for first, end in pairwise(firsts):
        parts = -(-(end - first) // rows)
        for part in range(parts):
            chunk = slice(first + part * rows, min(first + (part + 1) * rows, end))
            key = f"{window}/{start_us[first]}/{cells.shard}" + (f"/{part}" if part else "")
            own = {name: values[chunk] for name, values in columns.items()}
            value = (_write_json if json_rows else _write)(window, cells.shard, own)
            more = [("part", b"%d/%d" % (part, parts))]
            yield Message("cells", key, key, value, headers + more, int(revision[first]))


def _write(window: str, shard: int, columns: Columns) -> bytes:
    blocks = {name: [values.dtype.str, values.tobytes()] for name, values in columns.items()}
    head = {"v": _VERSION, "n": len(columns["start_us"]), "window": window, "shard": shard}
    value: bytes = msgpack.packb(head | {"c": blocks})
    return value


def _write_json(window: str, shard: int, columns: Columns) -> bytes:
    size = len(columns["start_us"])
    same: Columns = {"window": np.full(size, window, object), "shard": np.full(size, shard, np.int64)}
    return encode_rows(same | columns, "json", per_record=max(size, 2))[0]  # of 1 it would make no array


def _read(value: bytes) -> dict[str, Any]:
    reader, fields = MsgpackReader(value), dict[str, Any]()
    for _ in range(reader.count("map", most=5)):
        key = reader.text(most=MAX_TEXT_BYTES)
        if key == "c":
            fields[key] = _read_blocks(reader, value, fields.get("n", 0))
        else:
            fields[key] = reader.text(most=MAX_TEXT_BYTES) if key == "window" else reader.integer()
    reader.finish()
    if fields.keys() != {"v", "n", "window", "shard", "c"} or fields["v"] != _VERSION:
        raise BadRecord("version", f"version {fields.get('v')} with {', '.join(fields)}, expected {_VERSION}")
    return fields


def _read_blocks(reader: MsgpackReader, data: bytes, rows: int) -> Columns:
    if rows > _MAX_ROWS:
        raise BadRecord("too_large", f"{rows} rows, at most {_MAX_ROWS}")
    columns = {}
    for _ in range(reader.count("map", most=_MAX_COLUMNS)):
        name = reader.text(most=MAX_TEXT_BYTES)
        if reader.count("array", most=2) != 2:
            raise BadRecord("malformed", f"column {name!r} is no array of dtype and bytes")
        code, size = reader.text(most=8), reader.count("bytes", most=MAX_RECORD_BYTES)
        start = reader.skip(size)
        if code not in _codes(name) or size != rows * int(code[2:]):
            raise BadRecord("length", f"column {name!r} has {size} bytes of {code!r}, expected {rows} values")
        columns[name] = np.frombuffer(data, code, rows, start)
    return columns


def _codes(name: str) -> tuple[str, ...]:
    return (_NARROW[name],) if name in _NARROW else ("<i8", "<f8")


def _read_json(value: bytes) -> dict[str, Any]:
    rows: dict[str, list[Any]] = dict(decode_rows(value, "json"))
    windows, shards = rows.pop("window"), rows.pop("shard")
    columns = {name: _column(name, values) for name, values in rows.items()}
    return {"n": len(windows), "window": windows[0], "shard": shards[0], "c": columns}


def _column(name: str, values: list[Any]) -> NDArray[Any]:
    whole, fraction = _codes(name)[0], _codes(name)[-1]
    is_whole = all(type(value) is int for value in values)
    return np.array([np.nan if value is None else value for value in values], whole if is_whole else fraction)


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
    value = json.dumps(row, separators=(",", ":"), allow_nan=False).encode()
    return Message("alerts", about, key, value, [("content-type", JSON_TYPE.encode())], row["revision"] or 0)
