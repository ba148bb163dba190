"""What flows between the stages: a batch of events as columns, with the account of where each of them went.

Account: every event that comes in is counted once, as windowed, filtered, late, dead letter, duplicate or shed. A stage that
takes rows out of a batch adds them to the batch's tally and, where they must be kept, to its outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.schema import Columns

__all__ = ["FATES", "Alerts", "Batch", "DeadLetter", "Late", "Origin", "Output", "Tally", "length", "take"]

FATES = ("windowed", "filtered", "late", "dead_letters", "duplicates", "shed")
"""What can become of an event; the counts of these sum to `events_in`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the N rows of a batch stood in the input: `records` runs of rows, one a record.

    Parameters
    ----------
    topic, partition
        The Kafka topic and partition, or the file and its logical partition.
    starts, offsets, rows
        (R,) int64 of each run: its first row in the batch, its record's offset, the number in the record of that row.
    """

    topic: str
    partition: int
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def nowhere(cls, topic: str, partition: int) -> "Origin":
        """Return the place of no row."""
        none = np.empty(0, np.int64)
        return cls(topic, partition, none, none, none)

    @classmethod
    def of_record(cls, topic: str, partition: int, offset: int = 0) -> "Origin":
        """Return the place of all rows of one record."""
        zero = np.zeros(1, np.int64)
        return cls(topic, partition, zero, np.array([offset], np.int64), zero)

    def locate(self, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the (K,) offsets and row numbers of the batch's rows `index`."""
        run = np.searchsorted(self.starts, index, side="right") - 1
        return self.offsets[run], self.rows[run] + index - self.starts[run]

    def __str__(self) -> str:
        if len(self.offsets) == 0:
            return f"{self.topic}[{self.partition}]"
        first, last = int(self.offsets[0]), int(self.offsets[-1])
        span = str(first) if first == last else f"{first} to {last}"
        return f"{self.topic}[{self.partition}] offset {span}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An input that could not become an event, whole.

    Parameters
    ----------
    value
        The record's bytes, or one row of it as a record of its own.
    content_type
        How `value` is to be read.
    offset, row
        The record, and the row in it (-1: all of it).
    stage, reason, detail
        The step that refused it, why as a slug, and in words.
    """

    topic: str
    partition: int
    offset: int
    row: int
    value: bytes
    content_type: str
    stage: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Late:
    """K events that came too late for every window, whole.

    Parameters
    ----------
    columns
        Their columns.
    offset, row
        (K,) int64, where each stood.
    behind_us
        (K,) int64, how far each lay behind its partition's running maximum.
    """

    topic: str
    partition: int
    columns: Columns
    offset: NDArray[np.int64]
    row: NDArray[np.int64]
    behind_us: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Alerts:
    """K alerts as records of one schema (see `operators.alerts.FIELDS`)."""

    rows: Sequence[dict[str, Any]]


@dataclass(slots=True)
class Tally:
    """Counts of what became of the events of a batch.

    Examples
    --------
    >>> t = Tally(events_in=3, windowed=2, late=1)
    >>> t.balanced
    True
    """

    events_in: int = 0
    windowed: int = 0
    filtered: int = 0
    late: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    shed: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every event that came in is accounted for."""
        return self.events_in == sum(int(getattr(self, fate)) for fate in FATES)

    def add(self, other: "Tally") -> None:
        """Add the counts of `other` to these."""
        self.events_in += other.events_in
        for fate in FATES:
            setattr(self, fate, getattr(self, fate) + getattr(other, fate))


Output = DeadLetter | Late | Alerts | Tally
"""What a stage hands to the sink beside the events themselves."""


@dataclass(slots=True)
class Batch:
    """N events of one partition as columns, stamped with the partition's event time.

    Parameters
    ----------
    columns
        (N,) arrays by canonical name; read-only by convention.
    origin
        Where the rows came from, for messages.
    before_us, watermark_us
        The partition's running maximum before and after these rows; `END_US` once the partition is at its end.
    behind_us
        (N,) how far each row lies behind the running maximum before it; None if no window need look at it.
    names
        Text of hashed ids, by id: shared by the batches of a partition.
    idle, resumed
        The partition has been silent for the idle timeout: no window waits for it until its next batch; that batch.
    tally, outputs
        The account so far.
    trace
        The W3C traceparent of the span that it is part of, if it is traced.
    """

    columns: Columns
    origin: Origin
    before_us: int
    watermark_us: int
    behind_us: NDArray[np.int64] | None = None
    names: dict[int, str] = field(default_factory=dict)
    idle: bool = False
    resumed: bool = False
    tally: Tally = field(default_factory=Tally)
    outputs: list[Output] = field(default_factory=list)
    trace: str = ""

    def __len__(self) -> int:
        return length(self.columns)

    @property
    def partition(self) -> int:
        """The source partition."""
        return self.origin.partition

    def account(self) -> list["Output"]:
        """Return what the stages took out, and the tally once what is left has been windowed."""
        return [*self.outputs, replace(self.tally, windowed=len(self))]

    def keep(self, mask: NDArray[np.bool_]) -> int:
        """Keep the rows under (N,) `mask`; return how many went."""
        gone = len(mask) - int(np.count_nonzero(mask))
        if gone:
            self.columns = take(self.columns, mask)
            if self.behind_us is not None:
                self.behind_us = self.behind_us[mask]
        return gone


def length(columns: Columns) -> int:
    """Return N of (N,) columns; 0 if there are none."""
    return len(next(iter(columns.values()))) if columns else 0


def take(columns: Columns, rows: NDArray[Any]) -> Columns:
    """Return the columns at a mask or at row numbers."""
    return {name: values[rows] for name, values in columns.items()}
