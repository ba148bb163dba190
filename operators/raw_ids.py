"""Ids and names in a source's column, each distinct value looked at once.

    kind       text                          integers
    auto       hashed                        as they are
    text       hashed                        the hash of their digits
    integer    read as an integer            as they are

CSV has only text: where ids are integers there, say so. Nothing is trimmed or normalised before it is hashed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kernels.hashing import hash_text
from kernels.schema import MAX_TEXT_BYTES
from operators.raw_values import BAD_TYPE, NULL, OK, OUT_OF_RANGE, Raw, Values, as_array, fill, integers

__all__ = ["ID_KINDS", "IdKind", "Ids", "ids", "named"]

IdKind = Literal["auto", "text", "integer"]
ID_KINDS: tuple[IdKind, ...] = ("auto", "text", "integer")

_MOST = 2**64 - 1
_DIGITS = re.compile(r"[0-9]{1,20}")
_SCALARS = {bool, int, float, str, type(None)}


class Ids(NamedTuple):
    """(N,) ids, 0 where `status` (N,) is not OK; the text of each id that was hashed from one."""

    values: NDArray[np.uint64]
    status: NDArray[np.uint8]
    names: dict[int, str]


class _Found(NamedTuple):
    value: int
    status: int
    text: str | None = None


def ids(raw: Raw, n: int, kind: IdKind = "auto") -> Ids:
    """Return the ids of N values.

    >>> ids(["a", 7, None], 3)[0].tolist(), ids(["8"], 1, "integer")[0].tolist()
    ([3405396810240292928, 7, 0], [8])
    """
    column = raw if isinstance(raw, Sequence) else as_array(raw, n)
    if kind != "text" and isinstance(column, pa.Array) and pa.types.is_integer(column.type):
        return Ids(*integers(column, n, _MOST), {})
    return _by_distinct(column, lambda value: _id(value, kind))


def named(raw: Raw, n: int, names: Mapping[str, int]) -> Values:
    """Return what `names` has for each of N texts (or integers, as text); what it has not is OUT_OF_RANGE.

    >>> named(["low", "high", "?"], 3, {"low": 0, "high": 6})[0].tolist()
    [0, 6, 0]
    """
    column = raw if isinstance(raw, Sequence) else as_array(raw, n)
    return Values(*_by_distinct(column, lambda value: _named(value, names))[:2])


def _by_distinct(column: pa.Array | Sequence[Any], read: Callable[[Any], _Found]) -> Ids:
    distinct, codes = _encode(column)
    found = [read(value) for value in distinct]
    values, status = (
        np.array([f.value for f in found], np.uint64),
        np.array([f.status for f in found], np.uint8),
    )
    return Ids(values[codes], status[codes], {f.value: f.text for f in found if f.text is not None})


def _encode(column: pa.Array | Sequence[Any]) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the distinct values, and which of them stands in each row."""
    if isinstance(column, pa.Array):
        if pa.types.is_nested(column.type):
            return _encode(column.to_pylist())
        encoded = column.dictionary_encode()
        distinct = [*encoded.dictionary.to_pylist(), None]
        return distinct, fill(encoded.indices, len(distinct) - 1)
    codes: dict[
        tuple[type, Any], int
    ] = {}  # by type too, as 1 == 1.0 == True; what is no scalar is as bad as True
    scalars = (value if type(value) in _SCALARS else True for value in column)
    rows = [codes.setdefault((type(value), value), len(codes)) for value in scalars]
    return [value for _, value in codes], np.array(rows, np.int64)


def _id(value: Any, kind: IdKind) -> _Found:
    if value is None or value == "" or value != value:  # noqa: PLR0124  # NaN alone differs from itself
        return _Found(0, NULL)
    if kind == "integer" or (kind == "auto" and type(value) in {int, float}):
        return _integer(value)
    if type(value) not in {int, str}:
        return _Found(0, BAD_TYPE)
    return _hashed(str(value))


def _integer(value: Any) -> _Found:
    if type(value) is int or (type(value) is str and _DIGITS.fullmatch(value)):
        number = int(value)
        return _Found(number, OK) if 0 <= number <= _MOST else _Found(0, OUT_OF_RANGE)
    values, status = integers([value], 1, _MOST)  # the rare forms: exact, but 50 us each
    return _Found(int(values[0]), int(status[0]))


def _hashed(text: str) -> _Found:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:  # half a surrogate pair
        return _Found(0, BAD_TYPE)
    return _Found(hash_text(text), OK, text) if size <= MAX_TEXT_BYTES else _Found(0, OUT_OF_RANGE)


def _named(value: Any, names: Mapping[str, int]) -> _Found:
    if value is None or value == "":
        return _Found(0, NULL)
    if type(value) not in {int, str}:
        return _Found(0, BAD_TYPE)
    known = names.get(str(value))
    return _Found(0, OUT_OF_RANGE) if known is None else _Found(known, OK)
