"""Sessions as Kafka records, and back: a JSON object each, under window/agent/start, so that each can be withdrawn.

A log is read in its order: a session replaces what stands of its agent and overlaps it, and one that is withdrawn
leaves. A crash can lose a withdrawal, if what was published just before it is joined at once the second time; that is
why the session counts that comes last, and not the key alone.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.errors import BadRecord
from kernels.row_writer import encode_rows
from kernels.rows import Scalar, decode_rows
from operators.session import Sessions

__all__ = ["Standing", "decode_session", "encode_sessions"]

_ID = ("window", "agent_id", "start_us")
_REQUIRED = {"window": str, "agent_id": int, "start_us": int, "end_us": int, "count": int, "withdrawn": bool}
_DTYPES: dict[type, type[np.generic]] = {int: np.int64, bool: np.bool_}


def encode_sessions(sessions: Sessions) -> Iterator[tuple[str, bytes, int]]:
    """Yield the key, the value and the revision of each row."""
    rows = {name: values for name, values in sessions.columns.items() if name != "revision"}
    rows["window"] = np.array(sessions.windows, object)[sessions.columns["window"]]
    keys = zip(*(rows[name].tolist() for name in _ID), strict=True)
    revisions = sessions.columns["revision"].tolist()
    for key, value, revision in zip(keys, encode_rows(rows, "json"), revisions, strict=True):
        yield "/".join(map(str, key)), value, revision


def decode_session(value: bytes, revision: int) -> Sessions:
    """Return the one row of a record.

    Raises
    ------
    BadRecord
        It was not made by `encode_sessions`.
    """
    row = {name: values[0] for name, values in decode_rows(value, "json").items() if len(values) == 1}
    if wrong := [name for name, kind in _REQUIRED.items() if type(row.get(name)) is not kind]:
        raise BadRecord("columns", f"expected one row with {', '.join(sorted(wrong))}")
    window = str(row.pop("window"))
    try:
        columns = {name: _column(name, scalar) for name, scalar in row.items()}
    except (OverflowError, ValueError) as error:
        raise BadRecord("malformed", f"no session: {error}") from None
    columns |= {"window": np.zeros(1, np.int16), "revision": np.array([revision], np.int32)}
    return Sessions(-1, columns, [window])


def _column(name: str, scalar: Scalar) -> NDArray[Any]:
    if name == "agent_id":
        return np.array([scalar], np.uint64)
    return np.array([np.nan if scalar is None else scalar], _DTYPES.get(type(scalar), np.float64))


class Standing:
    """The sessions that stand after what was read of a log."""

    def __init__(self) -> None:
        self._agents: dict[tuple[str, int], list[Sessions]] = {}

    def put(self, session: Sessions) -> None:
        """Take the next row of the log."""
        columns = session.columns
        key = session.windows[0], int(columns["agent_id"][0])
        apart = [other for other in self._agents.get(key, ()) if not _overlap(columns, other.columns)]
        self._agents[key] = apart if columns["withdrawn"][0] else [*apart, session]

    def rows(self) -> list[Sessions]:
        """Return what stands, a row each."""
        return [session for sessions in self._agents.values() for session in sessions]


def _overlap(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> bool:
    return bool(one["start_us"][0] < other["end_us"][0] and other["start_us"][0] < one["end_us"][0])
