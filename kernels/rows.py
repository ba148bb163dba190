"""Rows: events as simple producers write them, one msgpack map or JSON object a record, or an array of them.

`decode_rows` takes the bytes apart and knows no column; `canonical_columns` turns rows that carry the
canonical names into columns, and tells which rows are no events. A record of no rows is refused:

    reason      the record
    too_large   is over 8 MiB, or has more than 65,536 rows or 128 different keys
    truncated   ends before what it announces (msgpack only; JSON cut short is malformed)
    malformed   is not one flat map or an array of them; has no key at all, a key twice or one that is no
                text; has binary, extension types, bad UTF-8, NaN or Infinity literals, bytes after the end

A row that is no event does not take its neighbours with it:

    reason             the row
    agent_missing      has no agent, or an empty text
    time_missing       has no time
    position_missing   lacks a coordinate, or has NaN there
    bad_type           has a value of another type: text, true, or 1.5 where an integer is wanted
    out_of_range       has an integer that the column cannot hold, a level over 6, a text id over 255 bytes,
                       or an infinite coordinate
"""

import json
from collections.abc import Callable, Collection, Mapping
from itertools import chain
from typing import Any, Literal, NamedTuple, NoReturn

import msgpack
import numpy as np
from numpy.typing import NDArray

from kernels.errors import BadRecord
from kernels.hashing import hash_text
from kernels.schema import (
    CANONICAL,
    MAX_RECORD_BYTES,
    MAX_RECORD_EVENTS,
    MAX_TEXT_BYTES,
    POSITION,
    RANGES,
    REQUIRED,
    Columns,
    is_column_name,
)

__all__ = ["CanonicalRows", "Encoding", "Rows", "Scalar", "canonical_columns", "decode_rows"]

Encoding = Literal["msgpack", "json"]
Scalar = bool | int | float | str | None
Rows = dict[str, list[Scalar]]
"""Key -> the values of N rows; None where a row lacks the key or has null there."""

_MAX_KEYS = 128  # of a record: a raw row may have more fields than a frame has columns
_SCALARS = {bool, int, float, str, type(None)}
_NUMBERS = {int, float, type(None)}
_ARRAY_TAGS = {*range(0x90, 0xA0), 0xDC, 0xDD}
_AGENTS = {"agent_id", "cause_agent"}
_MISSING = {"agent_id": "agent_missing", "time_us": "time_missing"}


class CanonicalRows(NamedTuple):
    """Rows as columns.

    `kept` (N,) int32 has the number of the row that each event came from, `bad` the reason why each other row
    is no event, and `names` the text of each id that was hashed from one.
    """

    columns: Columns
    names: dict[int, str]
    bad: dict[int, str]
    kept: NDArray[np.int32]


def decode_rows(data: bytes | memoryview, encoding: Encoding) -> Rows:
    """Return the rows of a record, by key. An empty array has no keys.

    A JSON integer of more than 20 characters, which no column can hold, comes as a float.

    Raises
    ------
    BadRecord
        `data` is no rows, for one of the reasons of the first table above.

    >>> decode_rows(b'[{"id": "a", "v": 1}, {"id": "b"}]', "json")
    {'id': ['a', 'b'], 'v': [1, None]}
    """
    if len(data) > MAX_RECORD_BYTES:
        raise BadRecord("too_large", f"{len(data)} bytes, at most {MAX_RECORD_BYTES}")
    rows = _DECODERS[encoding](data)
    if not {dict}.issuperset(map(type, rows)):
        raise BadRecord("malformed", "a row is no map")
    keys = dict.fromkeys(chain.from_iterable(rows))
    if len(keys) > _MAX_KEYS:
        raise BadRecord("too_large", f"{len(keys)} different keys, at most {_MAX_KEYS}")
    if rows and not keys:
        raise BadRecord("malformed", f"{len(rows)} rows without any value")
    columns = {key: [row.get(key) for row in rows] for key in keys}
    foreign = set(map(type, keys)) - {str} | set(map(type, chain.from_iterable(columns.values()))) - _SCALARS
    if foreign:
        raise BadRecord("malformed", f"rows hold {', '.join(sorted(kind.__name__ for kind in foreign))}")
    return columns


def canonical_columns(rows: Rows, *, further: Collection[str] | None = None) -> CanonicalRows:
    """Return rows that carry the canonical names as columns.

    A null becomes NaN in a float column and 0 in an integer column; agents may be integers or texts. An infinite
    metric stays infinite, as it does in a frame. The rows of several records may be joined first.

    Parameters
    ----------
    rows
        The rows, as `decode_rows` gives them.
    further
        The keys beyond the canonical ones to take; None takes all that can name a column.

    >>> rows = {"agent_id": ["a", 7], "time_us": [5, None], "x_m": [1, 2], "y_m": [0.5, 0], "z_m": [0, 0]}
    >>> canonical = canonical_columns(rows)
    >>> canonical.columns["x_m"].tolist(), canonical.bad, canonical.kept.tolist()
    ([1.0], {1: 'time_missing'}, [0])
    """
    n = len(next(iter(rows.values()), []))
    bad: dict[int, str] = {}
    names: dict[int, str] = {}
    columns = {}
    taken = is_column_name if further is None else set(further).union(CANONICAL).__contains__
    for name in dict.fromkeys(chain(REQUIRED, filter(taken, rows))):
        values = rows.get(name, [None] * n)
        if name in _AGENTS:
            values = _hash_texts(values, names, bad)
        columns[name] = _integers(name, values, bad) if name in RANGES else _floats(name, values, bad)
    good = np.ones(n, dtype=bool)
    good[list(bad)] = False
    kept = np.flatnonzero(good).astype(np.int32)
    return CanonicalRows({k: v[kept] for k, v in columns.items()} if bad else columns, names, bad, kept)


def _decode_msgpack(data: bytes | memoryview) -> list[dict[str, Scalar]]:
    # The package makes room for what a header announces: so no arrays inside of rows, and few keys.
    unpacker = msgpack.Unpacker(
        max_buffer_size=MAX_RECORD_BYTES,
        max_array_len=0,
        max_map_len=_MAX_KEYS,
        max_bin_len=0,
        max_ext_len=0,
        object_pairs_hook=_row,
    )
    unpacker.feed(data)
    try:
        count = unpacker.read_array_header() if data and data[0] in _ARRAY_TAGS else 1
        if count > MAX_RECORD_EVENTS:
            raise BadRecord("too_large", f"{count} rows, at most {MAX_RECORD_EVENTS}")
        rows = [unpacker.unpack() for _ in range(count)]
    except msgpack.OutOfData:
        raise BadRecord("truncated", f"the msgpack ends at byte {len(data)}, expected more") from None
    except (ValueError, msgpack.UnpackException) as error:
        raise BadRecord("malformed", f"not msgpack rows: {error!r:.200}") from None
    if unpacker.tell() != len(data):
        raise BadRecord("malformed", f"{len(data) - unpacker.tell()} bytes after the end")
    return rows


def _decode_json(data: bytes | memoryview) -> list[dict[str, Scalar]]:
    try:
        text = str(data, "utf-8")
        # A bracket of two bytes may become an object of 200, and flat rows need one of a kind each.
        if max(text.count("["), text.count("{")) > MAX_RECORD_EVENTS:
            raise BadRecord("too_large", f"more than {MAX_RECORD_EVENTS} brackets of a kind")
        value = _JSON.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # raises at half a surrogate pair
    except (ValueError, RecursionError) as error:
        raise BadRecord("malformed", f"not JSON rows: {error!r:.200}") from None
    return value if type(value) is list else [value]


def _row(pairs: list[tuple[str, Scalar]]) -> dict[str, Scalar]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise BadRecord("malformed", "a key is there twice in a row")
    return row


def _json_integer(text: str) -> int | float:
    return int(text) if len(text) <= 20 else float(text)


def _json_constant(text: str) -> NoReturn:
    raise BadRecord("malformed", f"{text} is not JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_row, parse_int=_json_integer, parse_constant=_json_constant)
_DECODERS: Mapping[Encoding, Callable[[bytes | memoryview], list[dict[str, Scalar]]]] = {
    "msgpack": _decode_msgpack,
    "json": _decode_json,
}


def _hash_texts(values: list[Scalar], names: dict[int, str], bad: dict[int, str]) -> list[Scalar]:
    """Return `values` with a hash for each text, None where it names no agent; name what was hashed."""
    refused = {text: _refusal(text) for text in dict.fromkeys(values) if type(text) is str}
    if not refused:
        return values
    ids = {text: None if reason else hash_text(text) for text, reason in refused.items()}
    names.update({agent: text for text, agent in ids.items() if agent is not None})
    for row, value in enumerate(values):
        if type(value) is str and refused[value]:
            bad.setdefault(row, refused[value])
    return [ids[value] if type(value) is str else value for value in values]


def _refusal(text: str) -> str:
    """Return why `text` names no agent, or an empty text."""
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:  # half a surrogate pair
        return "bad_type"
    if size > MAX_TEXT_BYTES:
        return "out_of_range"
    return "" if size else "agent_missing"


def _integers(name: str, values: list[Any], bad: dict[int, str]) -> NDArray[Any]:
    allowed = RANGES[name]
    if set(map(type, values)) == {int} and min(values) in allowed and max(values) in allowed:
        return np.array(values, dtype=CANONICAL[name])
    whole = np.zeros(len(values), dtype=CANONICAL[name])
    for row, value in enumerate(values):
        if type(value) is int and value in allowed:
            whole[row] = value
        elif value is not None:
            bad.setdefault(row, "out_of_range" if type(value) is int else "bad_type")
        elif name in _MISSING:
            bad.setdefault(row, _MISSING[name])
    return whole


def _floats(name: str, values: list[Scalar], bad: dict[int, str]) -> NDArray[np.float32]:
    if not set(map(type, values)) <= _NUMBERS:
        bad.update({row: "bad_type" for row, v in enumerate(values) if type(v) not in _NUMBERS} | bad)
        values = [value if type(value) in _NUMBERS else None for value in values]
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite
        numbers = np.array(values, dtype=np.float64).astype(np.float32)
    if name in POSITION:
        for row in np.flatnonzero(~np.isfinite(numbers)).tolist():
            bad.setdefault(row, "position_missing" if np.isnan(numbers[row]) else "out_of_range")
    return numbers
