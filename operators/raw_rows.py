"""Raw rows on their way to columns: the columns of a table as they are read, and why a row is no event."""

from collections.abc import Callable, Mapping, Sized
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from operators.raw_ids import IdKind, ids
from operators.raw_values import BAD_TYPE, NULL, OK, OUT_OF_RANGE, Raw, Values

__all__ = ["RawRows", "Table"]

Table: TypeAlias = pa.RecordBatch | Mapping[str, Raw]
"""N raw rows by column; in a mapping of lists or arrays a key may be absent."""

_REASONS = ("", "agent_missing", "time_missing", "position_missing", "bad_type", "out_of_range")
_CODES = {reason: code for code, reason in enumerate(_REASONS)}


class RawRows:
    """N rows of a table.

    Attributes
    ----------
    n
        N.
    reason
        (N,) uint8, 0 where nothing was wrong so far, else the first that was.
    names
        The texts of the ids read so far.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        columns: list[Sized] = (
            table.columns
            if isinstance(table, pa.RecordBatch)
            else [c for c in table.values() if c is not None]
        )
        self.n = max(map(len, columns), default=0)
        self.reason = np.zeros(self.n, np.uint8)
        self.names: dict[int, str] = {}

    @property
    def bad(self) -> dict[int, str]:
        """The reasons by row, of the rows that are no events."""
        return {int(row): _REASONS[self.reason[row]] for row in np.flatnonzero(self.reason)}

    def take(
        self, read: Callable[..., Values], column: str, *arguments: Any, missing: str = ""
    ) -> NDArray[Any]:
        """Return a column as `read` reads it; where it has no value a row is bad for the reason `missing`, if any."""
        found = read(self._raw(column), self.n, *arguments)
        self._note(found.status, missing)
        return found.values

    def take_ids(self, column: str, kind: IdKind, *, missing: str = "") -> NDArray[np.uint64]:
        """Return a column of ids, likewise."""
        found = ids(self._raw(column), self.n, kind)
        self.names |= found.names
        self._note(found.status, missing)
        return found.values

    def mark(self, rows: NDArray[np.bool_], reason: str) -> None:
        """Let rows under the (N,) mask be bad for `reason`, if they were good."""
        self.reason[rows & (self.reason == 0)] = _CODES[reason]

    def _raw(self, column: str) -> Raw:
        return (
            self._table.column(column) if isinstance(self._table, pa.RecordBatch) else self._table.get(column)
        )

    def _note(self, status: NDArray[np.uint8], missing: str) -> None:
        if (status == OK).all():
            return
        self.mark(status == NULL, missing)
        self.mark(status == BAD_TYPE, "bad_type")
        self.mark(status == OUT_OF_RANGE, "out_of_range")
