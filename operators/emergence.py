"""The emergence as a step of the flow: batches to sums by region and tick, ticks to integrated information."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.grid import Grid
from kernels.group import group
from kernels.integrated_information import integrate
from kernels.lagged_covariance import LaggedCovariance
from kernels.metric import Metric
from operators.batch import Batch
from operators.recurrence import Part
from operators.result import Result
from operators.ticks import in_time, numbered
from operators.watermarks import Told, tell

__all__ = ["EmergenceConfig", "EmergenceMachine", "RegionSums"]


@dataclass(frozen=True)
class EmergenceConfig:
    """What is watched.

    Parameters
    ----------
    regions
        The world in at most ten cells.
    metric
        Its mean over a region's reports in a tick is the region's state; None: the number of reports is.
    tick_us, lateness_us
        Length of a tick, and how much later it is taken.
    memory_ticks
        Ticks after which a pair of states counts 1 / e.
    """

    regions: Grid
    metric: Metric | None
    tick_us: int
    lateness_us: int
    memory_ticks: float


class RegionSums:
    """The step `batch -> sums by tick and region`, for the one key of the emergence."""

    def __init__(self, config: EmergenceConfig) -> None:
        self._config = config

    def __call__(self, batch: Batch) -> Iterator[tuple[str, Told]]:
        """Return what `batch` tells."""
        config = self._config
        sums = self._sums(batch) if len(batch) else {}
        yield from tell(batch, [sums], tick_us=config.tick_us, lateness_us=config.lateness_us)

    def _sums(self, batch: Batch) -> dict[str, NDArray[np.int64]]:
        config = self._config
        columns = in_time(batch, config.lateness_us)
        if config.metric is not None:
            given = ~np.isnan(columns[config.metric.name])
            columns = {name: values[given] for name, values in columns.items()}
        if not len(columns["time_us"]):
            return {}
        ticks, number = numbered(columns["time_us"], config.tick_us)
        key = number * config.regions.size
        key += config.regions.cells(*(columns[axis] for axis in ("x_m", "y_m", "z_m")))
        keys, inverse = group(key, len(ticks) * config.regions.size)
        count, total = np.zeros((2, len(keys)), np.int64)
        np.add.at(count, inverse, 1)
        if config.metric is not None:
            np.add.at(total, inverse, config.metric.quantise(columns[config.metric.name]))
        return {"ticks": ticks, "key": keys, "reports": count, "total": total}


class EmergenceMachine:
    """The covariances of the regions as `operators.recurrence` moves them on.

    Parameters
    ----------
    config
        What is watched.
    """

    def __init__(self, config: EmergenceConfig) -> None:
        self._config = config
        self.reset()

    def parts(self, told: Told) -> Iterator[tuple[int, Part]]:
        """Split sums by tick."""
        columns, regions = told.columns, self._config.regions.size
        if not columns:
            return
        ticks = columns["ticks"]
        edges = np.searchsorted(columns["key"], np.arange(len(ticks) + 1) * regions)
        for k, tick in enumerate(ticks.tolist()):
            rows = slice(*edges[k : k + 2])
            if rows.stop > rows.start:
                region = columns["key"][rows] - k * regions
                yield (
                    tick,
                    {"region": region, "reports": columns["reports"][rows], "total": columns["total"][rows]},
                )

    def step(self, parts: Sequence[Part]) -> None:
        """Take in a tick: the state of each region in it."""
        count, total = np.zeros((2, self._config.regions.size), np.int64)
        for part in parts:
            np.add.at(count, part["region"], part["reports"])
            np.add.at(total, part["region"], part["total"])
        self._reports = int(count.sum())
        if self._config.metric is None:
            self._state = count.astype(np.float64)
        else:  # a region without reports is as it was
            some = np.flatnonzero(count)
            self._state[some] = total[some] / self._config.metric.scale / count[some]
        self._seen.step(self._state)

    def results(self, time_us: int) -> list[Result]:
        """Return what is integrated now."""
        found = integrate(self._seen.matrix, self._seen.scale)
        columns = {
            "time_us": np.array([time_us]),
            "phi_nats": np.array([found.phi]),
            "revised_nats": np.array([found.revised]),
            "information_nats": np.array([found.information]),
            "cut": np.array([found.cut], np.uint16),
            "moving": np.array([found.moving], np.uint8),
            "pairs": np.array([self._seen.pairs]),
            "reports": np.array([self._reports]),
        }
        return [Result("emergence", str(time_us), columns)]

    def reset(self) -> None:
        """Forget everything."""
        self._state = np.zeros(self._config.regions.size)
        self._reports = 0
        self._seen = LaggedCovariance(self._config.regions.size, memory=self._config.memory_ticks)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {"state": self._state.copy(), "reports": self._reports, "seen": self._seen.snapshot()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state that `snapshot` returned."""
        self._state, self._reports = state["state"].copy(), state["reports"]
        self._seen.restore(state["seen"])
