"""Sessions as Kafka records, and back: a JSON object each, under window/agent/start, so that each can be withdrawn.

Of each key the last record counts, and one that is withdrawn does not stand. A crash can lose a withdrawal: what an idle
partition let be published just before it is, the second time, joined at once to the session that it is a part of. So a
session that lies within another of its agent does not stand either; DECISIONS.md shows why no session that is true can.
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
    """The sessions that stand after what was read of a log.

    Examples
    --------
    >>> Standing().rows()
    []
    """

    def __init__(self) -> None:
        self._agents: dict[tuple[str, int], dict[int, Sessions]] = {}

    def put(self, session: Sessions) -> None:
        """Take the next row of the log."""
        columns = session.columns
        own = self._agents.setdefault((session.windows[0], int(columns["agent_id"][0])), {})
        start_us = int(columns["start_us"][0])
        own.pop(start_us, None)
        if not columns["withdrawn"][0]:
            own[start_us] = session

    def rows(self) -> list[Sessions]:
        """Return what stands, a row each."""
        return [session for own in self._agents.values() for session in _outermost(own)]


def _outermost(own: dict[int, Sessions]) -> Iterator[Sessions]:
    """Yield the sessions of an agent that lie within no other, by their start."""
    covered_us: int | None = None
    for start_us in sorted(own):
        end_us = int(own[start_us].columns["end_us"][0])
        if covered_us is None or end_us > covered_us:
            covered_us = end_us
            yield own[start_us]
