r"""The digest of results: equal if and only if every exact column of every window is, bit by bit.

Each window, that is (name, start), is hashed by itself, then the list of those hashes, so that processes can hash the
windows that they hold and add the lists up. All numbers are little-endian; SHA-256 throughout.

    window hash  = SHA-256(header, then its rows in the order of (cx, cy, cz))
    header       = b"aura-digest-1\n", the names of the row's fields joined by ",", b"\n"
    row          = the exact columns in the order in which they are published, each as its own type, without padding:
                   end_us i8, cx cy cz i4, count i8, agents i8 (-1: not asked for), then for each metric M
                   M_count i8, M_sum M_mean M_min M_max M_var f8 (NaN: not asked for, or no value)
    scored row   = the same, then score f4, model (32 bytes: SHA-256 of the model's name in the table)
    digest       = SHA-256 over the windows, in the order of (name as utf-8, start):
                   length of the name u4, the name, start_us i8, window hash

Sessions have a digest of their own. The rows of a session window are hashed in 256 parts, by the top byte of
mix64(agent_id), each in the order of (agent_id, start_us, end_us); the number of the part stands for the start.

    session row  = start_us end_us i8, agent_id u8, count i8, then for each metric the same as above

Tables of further kinds have one hash: SHA-256 over the header, then the rows in the order of the kind, all its exact
columns; a text counts by its SHA-256 (32 bytes).

Only what is published counts, so that anyone who holds the results can recompute it. Sums, means and variances are
functions of exact integers (kernels.statistics). Floats count by their bits, but every NaN is the same one, and -0.0
is 0.0.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import mix64

__all__ = ["Hashes", "combine_digests", "digest", "rows_digest", "session_digest", "window_digests"]

Table = Mapping[str, NDArray[Any]]
Hashes = dict[tuple[str, int], bytes]

_KEYS = ("window", "start_us", "cx", "cy", "cz")
_SESSION_KEYS = ("window", "part", "agent_id", "start_us", "end_us")
# Rows are laid out and hashed this many at a time: 64k rows of 200 bytes are 13 MB.
_BLOCK = 65_536


def digest(table: Table, windows: Sequence[str], models: Sequence[str] | None = None) -> str:
    """Return the digest, in hex, of results that are all in one table; see `window_digests`."""
    return combine_digests(window_digests(table, windows, models))


def combine_digests(hashes: Mapping[tuple[str, int], bytes]) -> str:
    """Return the digest, in hex, over the hashes of all windows: those of several processes in one mapping."""
    total = hashlib.sha256()
    rows = sorted((name.encode(), start_us, value) for (name, start_us), value in hashes.items())
    for name, start_us, value in rows:
        total.update(struct.pack(f"<I{len(name)}sq", len(name), name, start_us) + value)
    return total.hexdigest()


def window_digests(table: Table, windows: Sequence[str], models: Sequence[str] | None = None) -> Hashes:
    """Hash the columns of each window.

    Parameters
    ----------
    table
        Columns of R rows in any order: `window` (index into `windows`), `start_us`, cx, cy, cz and the others, which
        are hashed in the order of the mapping. All rows of a window must be here, each cell of it once.
    windows
        Names of the windows.
    models
        Names of the models, if the table's last columns are `score` and `model` (index into `models`).

    Returns
    -------
    For each (window name, start_us) its 32 bytes.

    Raises
    ------
    ValueError
        If a (window, start, cell) is there twice: results of several revisions, or of overlapping shards.

    Examples
    --------
    >>> row = {name: np.zeros(1, "i8") for name in "window start_us end_us cx cy cz count".split()}
    >>> hashes = window_digests(row, ["minute"])
    >>> list(hashes), len(combine_digests(hashes))
    ([('minute', 0)], 64)
    """
    fields = _fields(table, {"window", "start_us", "model"})
    if models is not None:
        names = np.array([hashlib.sha256(model.encode()).digest() for model in models], "V32")
        fields["model"] = names[table["model"]]
    order, starts, once = _canonical_order(table, _KEYS)
    if not once:
        raise ValueError("expected each (window, start, cell) once, got one twice: pass last revisions only")
    return _hash_groups(_names(table, windows, "start_us", order[starts]), fields, order, starts)


def session_digest(table: Table, windows: Sequence[str]) -> str:
    """Return the digest, in hex, of sessions.

    Parameters
    ----------
    table
        Columns of R rows in any order: `window` (index into `windows`), agent_id, start_us, end_us and the others,
        which are hashed in the order of the mapping.
    windows
        Names of the session windows.
    """
    table = dict(table) | {"part": (mix64(table["agent_id"]) >> np.uint64(56)).astype(np.int64)}
    order, starts, _ = _canonical_order(table, _SESSION_KEYS)
    groups = _names(table, windows, "part", order[starts])
    return combine_digests(_hash_groups(groups, _fields(table, {"window", "part"}), order, starts))


def rows_digest(table: Table, order: Sequence[str]) -> str:
    """Return the digest, in hex, of rows of one kind.

    Parameters
    ----------
    table
        Columns of R rows in any order, hashed in the order of the mapping; arrays of object hold texts.
    order
        Columns that tell each row from every other one.

    Raises
    ------
    ValueError
        If they do not.

    Examples
    --------
    >>> one = {"time_us": np.array([2, 1]), "name": np.array(["b", "a"], object)}
    >>> rows_digest(one, ["time_us"]) == rows_digest({k: v[::-1] for k, v in one.items()}, ["time_us"])
    True
    """
    plain, ranks = dict(table), dict(table)
    for name in (name for name, values in table.items() if values.dtype == object):
        texts, ranks[name] = np.unique(table[name].astype(str), return_inverse=True)
        hashes = [hashlib.sha256(text.encode()).digest() for text in texts.tolist()]
        plain[name] = np.array(hashes, "V32")[ranks[name]]
    keys = [ranks[name] for name in order]
    rows = np.lexsort(keys[::-1])
    if len(rows) > 1 and not np.logical_or.reduce([np.diff(key[rows]) != 0 for key in keys]).all():
        raise ValueError(f"expected rows that differ in {', '.join(order)}, got two that do not")
    fields = _fields(plain, set())
    hasher = hashlib.sha256(_header(fields))
    for first in range(0, len(rows), _BLOCK):
        hasher.update(_lay_out(fields, rows[first : first + _BLOCK])[0])
    return hasher.hexdigest()


def _header(fields: Mapping[str, NDArray[Any]]) -> bytes:
    return b"aura-digest-1\n" + ",".join(fields).encode() + b"\n"


def _fields(table: Table, elsewhere: set[str]) -> dict[str, NDArray[Any]]:
    return {name: _canonical(values) for name, values in table.items() if name not in elsewhere}


def _names(
    table: Table, windows: Sequence[str], number: str, rows: NDArray[np.intp]
) -> list[tuple[str, int]]:
    """Return the groups of some rows: names of windows, and numbers in the column `number`."""
    names = [windows[k] for k in table["window"][rows].tolist()]
    return list(zip(names, table[number][rows].tolist(), strict=True))


def _canonical(values: NDArray[Any]) -> NDArray[Any]:
    """Give equal floats equal bits."""
    if values.dtype.kind != "f":
        return values
    floats: NDArray[Any] = values + values.dtype.type(0)  # -0.0 + 0.0 is 0.0
    floats[np.isnan(floats)] = np.nan
    return floats


def _hash_groups(
    groups: Sequence[tuple[str, int]],
    fields: Mapping[str, NDArray[Any]],
    order: NDArray[np.intp],
    starts: Sequence[int],
) -> Hashes:
    """Hash each group of rows: they begin at `starts` in the rows' order."""
    window_at = dict(zip(starts, groups, strict=True))
    header = _header(fields)
    hashers = {window: hashlib.sha256(header) for window in window_at.values()}
    cuts = sorted({*starts, *range(0, len(order), _BLOCK), len(order)})
    for first, last in pairwise(cuts):  # rows of one window and of one block
        if first in window_at:
            hasher = hashers[window_at[first]]
        if first % _BLOCK == 0:
            data, width = _lay_out(fields, order[first : first + _BLOCK])
        offset = first % _BLOCK
        hasher.update(data[offset * width : (offset + last - first) * width])
    return {window: hasher.digest() for window, hasher in hashers.items()}


def _lay_out(fields: Mapping[str, NDArray[Any]], rows: NDArray[np.intp]) -> tuple[memoryview, int]:
    """Return the bytes of some rows, and the bytes a row."""
    block = np.empty(len(rows), [(name, values.dtype.newbyteorder("<")) for name, values in fields.items()])
    for name, values in fields.items():
        block[name] = values[rows]
    return block.view(np.uint8).data, block.itemsize


def _canonical_order(table: Table, names: Sequence[str]) -> tuple[NDArray[np.intp], list[int], bool]:
    """Return the rows' order by the named keys, where in it the first two change, and whether no two rows are equal."""
    keys = [table[name] for name in names]
    order = np.lexsort(keys[::-1])
    changed = [np.diff(key[order]) != 0 for key in keys]
    starts = np.flatnonzero(changed[0] | changed[1]) + 1
    return order, [0, *starts.tolist()] if len(order) else [], bool(np.logical_or.reduce(changed).all())
