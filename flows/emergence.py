"""The flow of the emergence: sums by region and tick of event time, and the information that the regions integrate.

batches -> region_sums -> emergence (one key)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Stream

from flows.part import Given
from flows.settings.root import Settings
from kernels.errors import ConfigError
from kernels.grid import Grid
from kernels.integrated_information import MAX_PARTS
from kernels.metric import Metric
from operators.batch import Batch
from operators.emergence import EmergenceConfig, EmergenceMachine, RegionSums
from operators.guard import guarded
from operators.keyed import keyed
from operators.recurrence import Recurrence, RecurrenceConfig
from operators.result import Result
from operators.result_tables import Output, empty_results

__all__ = ["EmergencePart"]

_REST_MEMORIES = 10  # what is older counts less than 5e-5


@dataclass(frozen=True)
class EmergencePart:
    """The integrated information as a part of the run."""

    config: EmergenceConfig
    ticks: RecurrenceConfig

    steps = ("region_sums", "emergence")

    @classmethod
    def of(cls, settings: Settings, given: Given) -> "EmergencePart":
        """Build the steps that `settings` describes; ConfigError where there are too many regions or no such metric."""
        asked = settings.emergence
        memory_ticks = asked.memory / asked.tick
        config = EmergenceConfig(
            _regions(settings), _metric(settings), asked.tick, settings.event_time.lateness, memory_ticks
        )
        ticks = RecurrenceConfig(
            "emergence",
            tick_us=asked.tick,
            lateness_us=config.lateness_us,
            publish_ticks=1,
            rest_ticks=max(1, int(_REST_MEMORIES * memory_ticks)),
            partitions=given.partitions,
            horizon_us=settings.event_time.horizon,
        )
        return cls(config, ticks)

    @property
    def tables(self) -> dict[str, pa.Table]:
        """What it publishes, without rows."""
        return {"emergence": empty_results("emergence")}

    def attach(self, batches: Stream[Batch]) -> Stream[tuple[str, Output]]:
        """Add the steps to the flow of `batches`."""
        sums = op.flat_map("region_sums", batches, guarded("region_sums", RegionSums(self.config)))
        found = keyed("emergence", sums, self.step)
        return op.flat_map_batch("emergence_results", found, guarded("emergence_results", _results))

    def step(self, state: bytes | None) -> Recurrence:
        """Return the regions, as at the start or as they were."""
        return Recurrence(self.ticks, EmergenceMachine(self.config), state)


def _results(found: list[tuple[str, Result]]) -> Iterator[tuple[str, Output]]:
    return (("0", result) for _, result in found)


def _regions(settings: Settings) -> Grid:
    world, shape = settings.world, settings.emergence.regions
    nx, ny, nz = shape
    if not 2 <= nx * ny * nz <= MAX_PARTS:
        raise ConfigError(
            f"emergence.regions = {list(shape)}: {nx * ny * nz} regions; allowed: 2 to {MAX_PARTS}",
            "The number of cuts doubles with each region",
        )
    x, y, z = ((high - low) / n for low, high, n in zip(world.min_m, world.max_m, shape, strict=True))
    return Grid(world.min_m, (x, y, z), shape)


def _metric(settings: Settings) -> Metric | None:
    name = settings.emergence.state
    if name == "count":
        return None
    if name not in settings.metrics:
        raise ConfigError(
            f"emergence.state = {name!r}: no such metric",
            f"Use count, or one of {', '.join(settings.metrics) or 'the metrics, of which there are none'}",
        )
    return settings.metrics[name].to_metric(name)
