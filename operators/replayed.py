"""A partition that is read again: the part of it that a range of event time covers, at the speed that is asked for.

    its clock       the partition's running maximum of event time, of the events that the flow believes
    in the range    what stands where the clock is from `from_us` up to, not including, `to_us`

So a range is a run of the partition without a gap, dead letters and late events where they stood. Windows that begin at
`from_us` or later, and whose end and lateness are not past `to_us`, have the events that they have in a run over all:
every event of theirs comes while the clock is in the range, and is late or not by a clock that is the same.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.lateness import END_US, START_US, stamp
from operators.archive_reader import Position
from operators.batch import Batch, DeadLetter, Origin, length
from operators.decoded import Decoded, cut
from operators.ingest import Ingest, IngestConfig
from operators.pace import Pace
from operators.state import pack, unpack

__all__ = ["Range", "Replayed"]

_VERSION = 1


class Range(NamedTuple):
    """A part of event time: from_us <= time < to_us."""

    from_us: int = START_US
    to_us: int = END_US


class Replayed:
    """One partition, without an engine.

    Parameters
    ----------
    topic, partition
        Where its events stood.
    read
        Yields them from a position on, or from the beginning (None).
    config
        What to check.
    span
        Which of them.
    pace
        When they are due; None: at once.
    batch_rows
        Rows a batch, at most.
    state
        What `snapshot` returned, or None at the start.

    Attributes
    ----------
    ended
        Whether all of the range has been returned.
    wait_s
        How long there is nothing to do.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        read: Callable[[Position | None], Iterator[Decoded]],
        config: IngestConfig,
        *,
        span: Range,
        pace: Pace | None,
        batch_rows: int,
        state: bytes | None = None,
    ) -> None:
        saved = unpack("replayed", _VERSION, state) if state is not None else {}
        self._place, self._config, self._span = (topic, partition), config, span
        self._pace, self._batch_rows = pace, batch_rows
        self._ingest = Ingest(config, saved.get("ingest"))
        self._clock_us: int = saved.get("clock_us", START_US)
        self._position: Position | None = tuple(saved["position"]) if saved.get("position") else None
        self._skip = self._position  # what stands before it was returned before the snapshot
        self.ended, self.wait_s = saved.get("ended", False), 0.0
        self._pieces = iter(()) if self.ended else read(self._position)
        self._dead: list[DeadLetter] = []
        self._piece = self._next_piece()
        if pace is not None and self._piece is not None:
            pace.begin(self._piece.columns["time_us"], span.from_us)

    def advance(self) -> list[tuple[Decoded, Batch]]:
        """Return what is due of the range, as it stood and as the flow takes it; `wait_s` says when there is more."""
        self._piece = piece = self._piece or self._next_piece()
        if piece is None:
            self.close()
            return self._take(self._letters(None))
        size = length(piece.columns)
        rows = min(self._due(piece), self._batch_rows)
        if size and not rows:
            return []
        self._piece = cut(piece, rows, size) if rows < size else None
        return self._take(self._runs(cut(piece, 0, rows)))

    def close(self) -> None:
        """Read no more."""
        self.ended, self._piece, self._pieces = True, None, iter(())

    def finish(self) -> Batch:
        """Return the empty batch that says: this partition is at its end."""
        return self._ingest.finish(Origin.nowhere(*self._place))

    def snapshot(self) -> bytes:
        """Return the position after what was returned."""
        position = None if self._position is None else list(self._position)
        state = {"position": position, "clock_us": self._clock_us, "ended": self.ended}
        return pack("replayed", _VERSION, state | {"ingest": self._ingest.snapshot()})

    def _next_piece(self) -> Decoded | None:
        piece = next(self._pieces, None)
        if piece is None:
            return None
        if self._skip is not None:
            piece = self._behind(piece, self._skip)
        if piece.dead:
            self._dead = sorted([*self._dead, *piece.dead], key=_where)
        self._nothing = cut(piece, 0, 0)._replace(dead=[])
        return piece._replace(dead=[])

    def _behind(self, piece: Decoded, position: Position) -> Decoded:
        """Return what of a piece does not stand before a position."""
        size = length(piece.columns)
        offset, row = piece.origin.locate(np.arange(size))
        first = int(
            np.count_nonzero((offset < position[0]) | ((offset == position[0]) & (row < position[1])))
        )
        self._skip = None if first < size else position
        return cut(piece, first, size)._replace(dead=[d for d in piece.dead if _where(d) >= position])

    def _due(self, piece: Decoded) -> int:
        """Return how many of the rows are due."""
        if self._pace is None:
            return length(piece.columns)
        rows, self.wait_s = self._pace.due(self._clock(piece))
        return rows

    def _clock(self, piece: Decoded) -> NDArray[np.int64]:
        """Return what the clock will be at each row, as far as times alone tell whether the flow will believe them."""
        time_us, future_us = piece.columns["time_us"], self._config.future_us
        if future_us is not None:
            time_us = np.where(time_us > piece.broker_us + future_us, START_US, time_us)
        jumped = stamp(
            time_us, running_max_us=self._clock_us, lateness_us=END_US, max_jump_us=self._config.max_jump_us
        ).jumped
        believed = time_us if jumped is None else np.where(jumped, START_US, time_us)
        return np.maximum(np.maximum.accumulate(believed), self._clock_us)

    def _runs(self, piece: Decoded) -> Iterator[Decoded]:
        """Cut rows so that one that may move the clock over an edge of the range stands alone; dead letters between."""
        time_us, size, first = piece.columns["time_us"], length(piece.columns), 0
        if not size:
            yield from self._letters(None)
        while first < size:
            begun = self._clock_us >= self._span.from_us
            beyond = time_us[first:] >= (self._span.to_us if begun else self._span.from_us)
            count = int(beyond.argmax()) if beyond.any() else size - first
            run = cut(piece, first, first + max(count, 1))
            yield from self._letters(_last(run))
            yield run
            first += length(run.columns)

    def _letters(self, before: Position | None) -> Iterator[Decoded]:
        """Yield the dead letters that stand before a position (None: all), if there are any."""
        count = len(self._dead) if before is None else bisect_left(self._dead, before, key=_where)
        if count:
            dead, self._dead = self._dead[:count], self._dead[count:]
            yield self._nothing._replace(dead=dead)

    def _take(self, runs: Iterable[Decoded]) -> list[tuple[Decoded, Batch]]:
        """Run rows and dead letters through the checks; return those in the range."""
        found = []
        for run in runs:
            batch = self._ingest.accept(
                run.columns, run.origin, broker_us=run.broker_us, names=run.names, dead=run.dead
            )
            self._clock_us = batch.watermark_us
            offset, row = _last(run)
            self._position = (offset, row + 1)
            if self._clock_us >= self._span.to_us:
                self.close()
                break
            if self._clock_us >= self._span.from_us:
                found.append((run, batch))
        return found


def _where(letter: DeadLetter) -> Position:
    return letter.offset, letter.row


def _last(run: Decoded) -> Position:
    """Return where the last row stands, or the last dead letter."""
    if run.dead:
        return _where(run.dead[-1])
    offset, row = run.origin.locate(np.array([length(run.columns) - 1]))
    return int(offset[0]), int(row[0])
