"""Many msgpack records that are one map each, with the same keys in the same order: read across, not one by one.

What a simple producer sends looks so. The keys of the first record are looked for in all the others, and the values of
a key are taken together, by the tag that each begins with:

    taken       integers, floats, nil, texts up to 255 bytes
    not taken   all else, other keys, another order, bytes too few or too many: the caller reads those one by one

What comes out is what `kernels.rows` gives, value for value: 8,192 records of six fields take 0.3 us each instead of 2.4.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from kernels.rows import Rows

__all__ = ["uniform_rows"]

_LEAST = 16  # records: below it the calls cost more than they save
_MAX_KEYS = 128
# Bytes that are looked at from one place: the longest key or text with its header, and a number.
_MAX_TOKEN = 264

# The kinds of tags: small integers and short texts are in the tag itself, the others stand for themselves.
_SMALL, _TEXT, _NIL, _LONG_TEXT, _NEGATIVE, _OTHER = 0x00, 0xA0, 0xC0, 0xD9, 0xE0, 0xC1
_UNSIGNED = {_SMALL: "u1", 0xCC: ">u1", 0xCD: ">u2", 0xCE: ">u4", 0xCF: ">u8"}
_SIGNED = {_NEGATIVE: "i1", 0xD0: ">i1", 0xD1: ">i2", 0xD2: ">i4", 0xD3: ">i8"}
_FLOATS = {0xCA: ">f4", 0xCB: ">f8"}
_NUMBERS = _UNSIGNED | _SIGNED | _FLOATS
_IN_TAG = (_SMALL, _NEGATIVE)

_NULL = np.array([None])

_KIND = np.full(256, _OTHER, np.uint8)
_KIND[:0x80], _KIND[0xA0:0xC0], _KIND[0xE0:] = _SMALL, _TEXT, _NEGATIVE
for _tag in (*_NUMBERS, _NIL, _LONG_TEXT):
    _KIND[_tag] = _tag


def uniform_rows(records: Sequence[bytes], wanted: Collection[str]) -> Rows | None:
    """Return the `wanted` columns of R records of one map each; None where they are not all alike.

    >>> records = [msgpack.packb({"a": n, "b": n / 2}) for n in range(20)]
    >>> rows = uniform_rows(records, {"a", "b"})
    >>> rows["a"][:3], rows["b"][:3]
    ([0, 1, 2], [0.0, 0.5, 1.0])
    """
    if len(records) < _LEAST or (tokens := _tokens(records[0])) is None:
        return None
    head, keys = tokens
    across, rows = _Across(records), Rows()
    if not across.passes(head):
        return None
    for key, token in keys.items():
        values = across.values() if across.passes(token) else None
        if values is None:
            return None
        if key in wanted:
            rows[key] = values.tolist()
    return rows if across.ended() else None


def _tokens(record: bytes) -> tuple[bytes, dict[str, bytes]] | None:
    """Return the bytes of a map's header and of each of its keys; None where it is no map that could be taken."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(record)
    keys = {}
    try:
        count = unpacker.read_map_header()
        head = record[: unpacker.tell()]
        for _ in range(min(count, _MAX_KEYS + 1)):
            at, key = unpacker.tell(), unpacker.unpack()
            keys[key] = record[at : unpacker.tell()]
            unpacker.skip()
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    good = 0 < len(keys) == count <= _MAX_KEYS and {str}.issuperset(map(type, keys))
    return (head, keys) if good and max(map(len, keys.values())) < _MAX_TOKEN else None


class _Across:
    """A place in each of R records, which moves on in all of them at once."""

    def __init__(self, records: Sequence[bytes]) -> None:
        self._ends = np.cumsum(np.fromiter(map(len, records), np.int64, len(records)))
        self._at = np.concatenate(([0], self._ends[:-1]))
        # A broken record may lead past its end, the last one into the padding: no further than `_beyond`, where none ends.
        self._beyond = self._ends[-1] + 1
        self._data = b"".join((*records, bytes(2 * _MAX_TOKEN)))

    def passes(self, token: bytes) -> bool:
        """Move behind `token`; False where something else stands there in a record."""
        if self._gather(f"V{len(token)}", self._at).tobytes() != token * len(self._at):
            return False
        self._at = np.minimum(self._at + len(token), self._beyond)
        return True

    def values(self) -> NDArray[Any] | None:
        """Move behind a value; return (R,) the values, or None where one is not taken."""
        tags = self._gather("u1", self._at)
        kind = _KIND.take(tags)
        kinds = np.flatnonzero(np.bincount(kind)).tolist()
        if _OTHER in kinds:
            return None
        values, sizes = np.empty(len(tags), _common(kinds)), np.ones(len(tags), np.int64)
        for each in kinds:
            rows = slice(None) if len(kinds) == 1 else np.flatnonzero(kind == each)
            own, sizes[rows] = self._of_kind(each, self._at[rows])
            if own is None:
                return None
            values[rows] = own
        self._at = np.minimum(self._at + sizes, self._beyond)
        return values

    def ended(self) -> bool:
        """Whether every record ends where its place is."""
        return np.array_equal(self._at, self._ends)

    def _of_kind(self, kind: int, at: NDArray[np.int64]) -> tuple[Any, Any]:
        """Return the values of a kind of tag at places, and how many bytes each takes; None where one is no text."""
        if kind == _NIL:
            return _NULL, 1
        if kind in _NUMBERS:
            dtype, behind = np.dtype(_NUMBERS[kind]), int(kind not in _IN_TAG)
            return self._gather(dtype, at + behind), behind + dtype.itemsize
        behind, bits = (2, 0xFF) if kind == _LONG_TEXT else (1, 0x1F)
        sizes = behind + (self._gather("u1", at + behind - 1) & np.uint8(bits)).astype(np.int64)
        return self._texts(at + behind, at + sizes), sizes

    def _texts(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[str] | None:
        data, places = self._data, zip(starts.tolist(), ends.tolist(), strict=True)
        try:
            return [data[start:end].decode() for start, end in places]
        except UnicodeDecodeError:
            return None

    def _gather(self, dtype: Any, at: NDArray[np.int64]) -> NDArray[Any]:
        """Return what stands at (K,) places: a view whose elements overlap, a byte apart, is indexed."""
        item = np.dtype(dtype)
        return np.ndarray((len(self._data) - item.itemsize + 1,), item, self._data, 0, (1,))[at]


def _common(kinds: Collection[int]) -> type[np.generic] | type[object]:
    """Return a type that holds values of all kinds as they are."""
    for dtype, numbers in ((np.uint64, _UNSIGNED), (np.float64, _FLOATS)):
        if numbers.keys() >= set(kinds):
            return dtype
    return np.int64 if (_SIGNED.keys() | _UNSIGNED.keys() - {0xCF}) >= set(kinds) else object
