"""How far the source partitions have come, as one key of a step hears of it, and the messages that tell it.

    closed_us   least watermark of the partitions that are not idle; it never falls. A tick of event time is complete, as
                far as is known, once `closed_us` passes its end plus the lateness
    final_us    least watermark of all, idle ones included, or `horizon` behind `closed_us` if that is more. What ends
                (with the lateness) at or before it can no longer change; what comes for it still is too late

Between the two lies what must be kept, as an idle partition that comes back may bring events for it: then it is said
again, with the next revision. Without idle partitions the two are equal.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from kernels.lateness import START_US
from operators.batch import Batch
from operators.state import pack, unpack

__all__ = ["Told", "Watermarks", "tell"]

_VERSION = 1


class Told(NamedTuple):
    """What one partition tells one key: rows as columns, and how far it has come."""

    key: int
    partition: int
    watermark_us: int
    idle: bool
    columns: Mapping[str, NDArray[Any]]

    def __reduce__(self) -> tuple[Callable[[bytes], "Told"], tuple[bytes]]:
        """Return what pickle writes: one run of bytes between processes."""
        return _unpack, (pack("told", _VERSION, {"fields": [*self[:-1], dict(self.columns)]}),)


def _unpack(data: bytes) -> Told:
    return Told(*unpack("told", _VERSION, data)["fields"])


def tell(
    batch: Batch, columns: Sequence[Mapping[str, NDArray[Any]]], *, tick_us: int, lateness_us: int
) -> Iterator[tuple[str, Told]]:
    """Yield what a batch tells each key: its rows, and to all keys when the watermark passes the end of a tick.

    Parameters
    ----------
    batch
        Of one partition.
    columns
        The rows for each key, by its number; an empty mapping where there are none.
    tick_us, lateness_us
        Ticks end at multiples of `tick_us`, and close `lateness_us` later.
    """
    before, after = ((at_us - lateness_us) // tick_us for at_us in (batch.before_us, batch.watermark_us))
    everyone = batch.idle or batch.resumed or before != after
    for key, own in enumerate(columns):
        if own or everyone:
            yield str(key), Told(key, batch.partition, batch.watermark_us, batch.idle, own)


class Watermarks:
    """The watermarks of all partitions.

    Parameters
    ----------
    partitions
        How many there are.
    horizon_us
        How long after its close a tick can change, in event time.
    state
        What `snapshot` returned, or None at the start.

    Examples
    --------
    >>> marks = Watermarks(2, horizon_us=100)
    >>> marks.put(0, 50, idle=False), marks.closed_us > 0
    (False, False)
    >>> marks.put(1, 0, idle=True), marks.closed_us, marks.final_us
    (True, 50, 0)
    """

    def __init__(self, partitions: int, horizon_us: int, state: Mapping[str, Any] | None = None) -> None:
        self._horizon_us = horizon_us
        self._at_us, self._idle = [START_US] * partitions, [False] * partitions
        self.closed_us = START_US
        if state is not None:
            known = len(state["at_us"])  # partitions may have been added since
            self._at_us[:known], self._idle[:known] = state["at_us"], state["idle"]
            self.closed_us = state["closed_us"]

    def put(self, partition: int, watermark_us: int, *, idle: bool) -> bool:
        """Take in how far a partition has come; return whether `closed_us` has moved."""
        self._at_us[partition], self._idle[partition] = watermark_us, idle
        awake = [at_us for at_us, idle in zip(self._at_us, self._idle, strict=True) if not idle]
        before_us, self.closed_us = self.closed_us, max(self.closed_us, min(awake, default=START_US))
        return self.closed_us > before_us

    @property
    def final_us(self) -> int:
        """Up to where nothing can change."""
        return max(min(self._at_us), self.closed_us - self._horizon_us)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {"at_us": self._at_us, "idle": self._idle, "closed_us": self.closed_us}
