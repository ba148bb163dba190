"""The simulated population as a source: one partition of it per source partition, a frame at a time."""

from collections.abc import Callable, Iterator
from datetime import datetime

import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from numpy.typing import NDArray

from kernels.schema import Columns
from kernels.simulate import Population
from operators.batch import Batch, Origin, length
from operators.drain import DRAIN
from operators.ingest import Ingest, IngestConfig
from operators.pace import Pace, awake_in
from operators.progress import Progress
from operators.state import pack, unpack

__all__ = ["SimulatedSource"]

_VERSION = 1


class SimulatedSource(FixedPartitionedSource[Batch, bytes]):
    """A population that is simulated while it is read.

    Parameters
    ----------
    populations
        Makes partition k of the population.
    partitions
        How many there are.
    ticks
        How many ticks each partition lives.
    config
        What to check.
    progress
        Told of the events made.
    pace
        When a tick is due; None: at once.
    """

    def __init__(
        self,
        populations: Callable[[int], Population],
        partitions: int,
        ticks: int,
        config: IngestConfig,
        progress: Progress,
        *,
        pace: Pace | None = None,
    ) -> None:
        self.pace = pace
        self.populations, self.partitions, self.ticks = populations, partitions, ticks
        self.config, self.progress = config, progress

    def list_parts(self) -> list[str]:
        """Return the names of the partitions."""
        return [str(k) for k in range(self.partitions)]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> "_Partition":  # noqa: ARG002 (Bytewax names it)
        """Return partition `for_part`, after what `resume_state` says was delivered."""
        return _Partition(self, int(for_part), resume_state)


class _Partition(StatefulSourcePartition[Batch, bytes]):
    """Its offset counts frames, from 0; `tick` and `frame` say which is next."""

    def __init__(self, source: SimulatedSource, number: int, resume_state: bytes | None) -> None:
        state = unpack("simulated", _VERSION, resume_state) if resume_state is not None else {}
        self._source, self._number, self._population = source, number, source.populations(number)
        self._tick, self._frame, self._offset = (
            state.get("tick", 0),
            state.get("frame", 0),
            state.get("offset", 0),
        )
        self._ended = state.get("ended", False)
        self._ingest = Ingest(source.config, state.get("ingest"))
        self._awake: datetime | None = None
        if source.pace is not None:
            source.pace.begin(self._time_us(self._tick))
        self._frames: Iterator[Columns] = iter(())
        if self._tick < source.ticks:
            self._frames = self._population.frames(self._tick)
            for _ in range(self._frame):
                next(self._frames)

    def next_awake(self) -> datetime | None:
        """Return when there is more to read, if not at once."""
        return self._awake

    def next_batch(self) -> list[Batch]:
        """Return the next frame as a batch, then the end of the partition, then stop."""
        if self._ended:
            raise StopIteration
        DRAIN.check()
        columns = next(self._frames, None)
        if columns is None and self._tick + 1 < self._source.ticks:
            if not self._is_due(self._tick + 1):
                return []
            self._tick, self._frame = self._tick + 1, 0
            self._frames = self._population.frames(self._tick)
            columns = next(self._frames, None)
        if columns is None:
            self._ended = True
            return [self._ingest.finish(Origin.nowhere("simulate", self._number))]
        origin = Origin.of_record("simulate", self._number, self._offset)
        self._frame, self._offset = self._frame + 1, self._offset + 1
        self._source.progress.done += length(columns)
        return [self._ingest.accept(columns, origin)]

    def _is_due(self, tick: int) -> bool:
        """Return whether a tick may begin; set when it may, if not."""
        pace = self._source.pace
        if pace is None:
            return True
        rows, wait_s = pace.due(self._time_us(tick))
        self._awake = awake_in(wait_s) if not rows else None
        return rows > 0

    def _time_us(self, tick: int) -> NDArray[np.int64]:
        return np.array([self._population.time_us(tick)])

    def snapshot(self) -> bytes:
        """Return the position after what was delivered."""
        state = {"tick": self._tick, "frame": self._frame, "offset": self._offset, "ended": self._ended}
        return pack("simulated", _VERSION, state | {"ingest": self._ingest.snapshot()})
