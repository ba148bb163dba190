"""From Kafka records to columns: by content type, gathered into batches, what cannot be read set aside whole.

    content type                              the value
    application/vnd.aura.frame                a frame: columns
    application/vnd.aura.rows+msgpack, +json  rows under the canonical names, one or an array of them
    application/msgpack, application/json     rows as the producer names them, under the configured mapping; without a
                                              mapping the same as the line above
    anything else                             a dead letter, reason `content_type`
    none                                      what the configuration says

A record that cannot be read is one dead letter, with its bytes; a row that is no event is one, as a record of its own.
How the records came, in one poll or in many, changes nothing: rows are looked at one by one, in their order.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kernels.errors import BadRecord
from kernels.frame import FRAME_TYPE, decode_frame
from kernels.lateness import END_US
from kernels.rows import CanonicalRows, Encoding, canonical_columns
from kernels.schema import CANONICAL, REQUIRED, Columns, no_values
from operators.batch import DeadLetter, Origin, length
from operators.decoded import Decoded, cut, join
from operators.mapping import Mapped, Mapping
from operators.row_records import gather_rows, single_rows

__all__ = ["CONTENT_TYPES", "REFUSED", "Decoder", "Record"]

CONTENT_TYPES = {"frame": FRAME_TYPE, "msgpack": "application/msgpack", "json": "application/json"}
"""The content type of a record without one, as the configuration names it."""
REFUSED = "-".join(("aura", "refused"))
"""Header of a record that could not be unpacked: its value is the reason. Told by identity: a producer's is another."""


class Record(Protocol):
    """What is read of a Kafka record; `timestamp_type` is 1 where the broker has set `timestamp` (milliseconds)."""

    offset: int
    timestamp: int
    timestamp_type: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class _Form(NamedTuple):
    """How records are read; for rows their encoding, and whether the mapping applies."""

    content_type: str
    encoding: Encoding | None = None
    mapped: bool = False


_FORMS = {
    form.content_type: form
    for form in (
        _Form(FRAME_TYPE),
        _Form("application/vnd.aura.rows+msgpack", "msgpack"),
        _Form("application/vnd.aura.rows+json", "json"),
        _Form("application/msgpack", "msgpack", mapped=True),
        _Form("application/json", "json", mapped=True),
    )
}


class Decoder:
    """Reads the records of one partition.

    Parameters
    ----------
    topic, partition
        Where they stand.
    columns
        The columns that the flow knows: what a record lacks of them is no value, what it has beyond them is left out.
    default
        Content type of a record without one.
    mapping
        Of rows as a producer names them.
    batch_rows
        Rows a batch, at most. Records are joined up to it, a larger one is cut.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        columns: Collection[str],
        default: str = FRAME_TYPE,
        mapping: Mapping | None = None,
        batch_rows: int,
    ) -> None:
        self._topic, self._partition, self._default = topic, partition, default
        self._names = tuple(dict.fromkeys((*REQUIRED, *columns)))
        self._mapping, self._batch_rows = mapping, batch_rows
        self._canonical = (*CANONICAL, *columns)

    def decode(self, records: Sequence[Record]) -> Iterator[Decoded]:
        """Yield the rows of records in batches."""
        held: list[Decoded] = []
        rows = 0
        for piece in self._pieces(records):
            size = length(piece.columns)
            if held and rows + size > self._batch_rows:
                yield join(held)
                held, rows = [], 0
            for first in range(0, max(size - self._batch_rows, 0), self._batch_rows):
                yield cut(piece, first, first + self._batch_rows)
            rest = (size - 1) // self._batch_rows * self._batch_rows if size else 0
            held.append(cut(piece, rest, size) if rest else piece)
            rows += size - rest
        if held:
            yield join(held)

    def nowhere(self) -> Origin:
        """Return the place of no row."""
        return Origin.nowhere(self._topic, self._partition)

    def _pieces(self, records: Sequence[Record]) -> Iterator[Decoded]:
        for form, group in groupby(records, self._form):
            if form.encoding is not None:
                yield self._rows(list(group), form, form.encoding)
            else:
                yield from (self._record(record, form) for record in group)

    def _form(self, record: Record) -> _Form:
        for name, value in record.headers:
            if name is REFUSED:
                return _Form("application/octet-stream")
            if name == "content-type":
                return _form_of(value or b"")
        return _FORMS[self._default]

    def _record(self, record: Record, form: _Form) -> Decoded:
        """Read a frame, or refuse what is none."""
        try:
            if form.content_type != FRAME_TYPE:
                raise _refusal(record, form)
            columns, names = decode_frame(record.value or b"")
        except BadRecord as error:
            letter = self._letter(record, form, error)
            return Decoded(self._complete({}, 0), self.nowhere(), np.empty(0, np.int64), {}, [letter])
        size = length(columns)
        place = np.array([record.offset]), np.zeros(1, np.int64)
        broker_us = np.broadcast_to(np.int64(_broker_us(record)), size)
        return Decoded(self._complete(columns, size), self._origin(*place), broker_us, names, [])

    def _rows(self, records: Sequence[Record], form: _Form, encoding: Encoding) -> Decoded:
        """Read records of rows, all of them at once."""
        values = [record.value or b"" for record in records]
        mapping = self._mapping if form.mapped else None
        wanted = self._canonical if mapping is None else tuple(mapping.sources.values())
        gathered = gather_rows(values, encoding, wanted)
        events: CanonicalRows | Mapped
        events = (
            canonical_columns(gathered.rows, further=self._names)
            if mapping is None
            else mapping.apply(gathered.rows)
        )
        dead = [self._letter(records[i], form, error) for i, error in gathered.refused.items()]
        number, row = gathered.places()
        for i, bad in groupby(events.bad, lambda n: int(number[n])):
            reasons = {int(row[n]): events.bad[n] for n in bad}
            alone = single_rows(values[i], encoding, tuple(reasons))
            dead += [
                self._letter(records[i], form, BadRecord(reason), at=at, value=value)
                for (at, reason), value in zip(reasons.items(), alone, strict=True)
            ]
        number, row = number[events.kept], row[events.kept]
        columns = self._complete(events.columns, len(row))
        offset = np.array([record.offset for record in records], np.int64)[number]
        broker_us = np.array([_broker_us(record) for record in records], np.int64)[number]
        return Decoded(columns, self._origin(offset, row), broker_us, events.names, dead)

    def _origin(self, offset: NDArray[np.int64], row: NDArray[np.int64]) -> Origin:
        """Return the place of rows that stand at (N,) offsets and rows."""
        starts = np.flatnonzero((np.diff(offset, prepend=-1) != 0) | (np.diff(row, prepend=-1) != 1))
        return Origin(self._topic, self._partition, starts, offset[starts], row[starts])

    def _complete(self, columns: Columns, size: int) -> Columns:
        return {name: columns[name] if name in columns else no_values(name, size) for name in self._names}

    def _letter(
        self, record: Record, form: _Form, error: BadRecord, *, at: int = -1, value: bytes | None = None
    ) -> DeadLetter:
        place = (self._topic, self._partition, record.offset, at)
        whole = (record.value or b"") if value is None else value
        return DeadLetter(*place, whole, form.content_type, "decode", error.reason, str(error))


@lru_cache(maxsize=64)  # every record of a row has it: 0.1 us instead of 0.6
def _form_of(value: bytes) -> _Form:
    text = value.decode("utf-8", "replace")
    return _FORMS.get(text.partition(";")[0].strip().lower(), _Form(text))


def _broker_us(record: Record) -> int:
    """Return the broker's time of a record; later than any event where the broker sets none."""
    return record.timestamp * 1000 if record.timestamp_type == 1 else END_US


def _refusal(record: Record, form: _Form) -> BadRecord:
    name, value = record.headers[0]
    if name is REFUSED:
        reason, _, detail = (value or b"").decode().partition(" ")
        return BadRecord(reason, detail)
    return BadRecord(
        "content_type", f"content type {form.content_type!r:.80}, expected one of {', '.join(_FORMS)}"
    )
