"""The entropy of a region's mix of levels, held against its bound: log2 of the number of levels that there may be.

A region is a run of cells in Morton order. Events are counted by (span of event time, region, level) before the exchange,
and a span is looked at once nothing can come for it any more, so nothing is ever revised.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.backend import Backend
from kernels.grid import Grid
from kernels.level_mix import entropy, log2
from kernels.schema import MAX_LEVEL
from operators.batch import Batch
from operators.result import Result
from operators.state import pack, unpack
from operators.violation import violation
from operators.watermarks import Told, Watermarks, tell

__all__ = ["CountLevels", "LevelBounds", "LevelMix"]

_LEVELS = MAX_LEVEL + 1
_VERSION = 1
_ROUNDING = 1e-5  # of the kernel's logarithm


@dataclass(frozen=True)
class LevelBounds:
    """What is counted, and how mixed it may be.

    Parameters
    ----------
    grid
        The cells.
    region_cells, every_us
        Cells of a region, and the length of a span.
    levels
        How many levels there may be.
    lateness_us, horizon_us
        Of events, and how long an idle partition is waited for.
    """

    grid: Grid
    region_cells: int
    every_us: int
    levels: int
    lateness_us: int
    horizon_us: int

    @property
    def regions(self) -> int:
        """Number of regions."""
        return -(-self.grid.size // self.region_cells)


class CountLevels:
    """The step from batches to counts, for the one key that sees every region."""

    def __init__(self, bounds: LevelBounds, backend: Backend) -> None:
        self._bounds, self._backend = bounds, backend

    def __call__(self, batch: Batch) -> Iterator[tuple[str, Told]]:
        """Yield what `batch` brings."""
        bounds = self._bounds
        counts = self._count(batch) if len(batch) else {}
        yield from tell(batch, [counts], tick_us=bounds.every_us, lateness_us=bounds.lateness_us)

    def _count(self, batch: Batch) -> dict[str, NDArray[Any]]:
        columns, bounds = batch.columns, self._bounds
        span = columns["time_us"] // bounds.every_us
        cells = self._backend.cells(bounds.grid, columns["x_m"], columns["y_m"], columns["z_m"])
        region = self._backend.ranks(bounds.grid, cells) // bounds.region_cells
        place = region * _LEVELS + columns["level"]
        if batch.behind_us is not None:
            kept = batch.behind_us <= bounds.lateness_us
            span, place = span[kept], place[kept]
        size, first = bounds.regions * _LEVELS, int(span.min(initial=2**62))
        key, count = np.unique((span - first) * size + place, return_counts=True)
        return {"span": first + key // size, "place": key % size, "count": count}


class LevelMix:
    """The counts of every span that is still open.

    Parameters
    ----------
    partitions
        Of the source.
    bounds
        What is allowed.
    state
        What `snapshot` returned, or None at the start.
    """

    def __init__(self, partitions: int, bounds: LevelBounds, state: bytes | None = None) -> None:
        saved: dict[str, Any] = unpack("level_bounds", _VERSION, state) if state is not None else {}
        self._bounds = bounds
        self._marks = Watermarks(partitions, bounds.horizon_us, saved.get("marks"))
        self._spans: dict[int, NDArray[np.int64]] = saved.get("spans", {})

    def on_messages(self, messages: Iterable[Told]) -> list[Result]:
        """Take in counts; look at the spans that are complete."""
        for told in messages:
            if told.columns:
                self._add(told.columns)
            self._marks.put(told.partition, told.watermark_us, idle=told.idle)
        final = (self._marks.final_us - self._bounds.lateness_us) // self._bounds.every_us
        done = sorted(span for span in self._spans if span < final)
        return [each for span in done for each in self._look(span, self._spans.pop(span))]

    def snapshot(self) -> bytes:
        """Return the state."""
        return pack("level_bounds", _VERSION, {"marks": self._marks.snapshot(), "spans": self._spans})

    def _add(self, columns: Any) -> None:
        final = (self._marks.final_us - self._bounds.lateness_us) // self._bounds.every_us
        for span in np.unique(columns["span"]).tolist():
            if span < final:
                continue  # past the horizon, as in the windows
            own = columns["span"] == span
            counts = self._spans.setdefault(span, np.zeros(self._bounds.regions * _LEVELS, np.int64))
            np.add.at(counts, columns["place"][own], columns["count"][own])

    def _look(self, span: int, counts: NDArray[np.int64]) -> Iterator[Result]:
        """Yield a violation for each region whose agents are mixed more than they can be."""
        marks = np.ascontiguousarray(counts.reshape(-1, _LEVELS).T.astype(np.float32))
        bits = entropy(marks, log2(marks))
        bound = math.log2(self._bounds.levels)
        for region in np.flatnonzero(bits > bound + _ROUNDING).tolist():
            yield violation(
                f"{span}/{region}/level_mix",
                time_us=(span + 1) * self._bounds.every_us, invariant="information_bounds", subject="region",
                what=str(region), value=float(bits[region]), bound=bound,
                reason=f"the levels of region {region} are mixed by {bits[region]:.4f} bits, at most {bound:.4f}: "
                f"more than {self._bounds.levels} levels", partition=-1, offset=-1, row=-1,
            )  # fmt: skip
