"""The flow of the fields: what agents leave, step by step of event time, and the layers that follow from it.

batches -> field_deposits -> field (one key) -> field_results
"""

from collections.abc import Iterator
from dataclasses import dataclass

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Stream

from flows.part import Given
from flows.settings.root import Settings
from kernels.diffusion import Diffusion
from kernels.errors import ConfigError
from kernels.fields import FieldConfig, FieldForm
from kernels.lattice import Lattice
from kernels.potential import Screening
from operators.batch import Batch
from operators.field_steps import FieldDeposits, FieldMachine
from operators.guard import guarded
from operators.keyed import keyed
from operators.recurrence import Recurrence, RecurrenceConfig
from operators.result import Result
from operators.result_tables import Output, empty_results

__all__ = ["FieldsPart", "field_config"]

_SECOND_US = 1e6


def field_config(settings: Settings) -> FieldConfig:
    """Return the kernels' field that the configuration describes.

    Raises
    ------
    ConfigError
        The step is unstable, there are too many cells, or a value is out of range.
    """
    given, world = settings.field, settings.world
    x, y, z = (high - low for low, high in zip(world.min_m, world.max_m, strict=True))
    lattice = Lattice(world.min_m, given.cell_m, given.cells((x, y, z)), given.boundary)
    step_s = given.step_us / _SECOND_US
    return FieldConfig(
        Diffusion(lattice, step_s, given.diffusion_m2ps, given.evaporation_per_s),
        Screening(lattice, given.screening_m, given.tolerance),
        memory_s=given.memory / _SECOND_US,
        layers=frozenset(given.layers),
    )


@dataclass(frozen=True)
class FieldsPart:
    """The layered field as a part of the run."""

    config: FieldConfig
    form: FieldForm
    deposits: FieldDeposits
    ticks: RecurrenceConfig
    sink_partitions: int

    steps = ("field_deposits", "field")

    @classmethod
    def of(cls, settings: Settings, given: Given) -> "FieldsPart":
        """Build the steps that `settings` describes; ConfigError where the field cannot be."""
        config, field = field_config(settings), settings.field
        if field.rest < field.publish:
            raise ConfigError("field.rest is shorter than field.publish", "What came last would not be told")
        lateness_us = settings.event_time.lateness
        return cls(
            config,
            given.backend.field,
            FieldDeposits(config.lattice, field.step_us, lateness_us),
            RecurrenceConfig(
                "field",
                tick_us=field.step_us,
                lateness_us=lateness_us,
                publish_ticks=field.publish_steps,
                rest_ticks=max(field.publish_steps, field.rest // field.step_us),
                partitions=given.partitions,
                horizon_us=settings.event_time.horizon,
            ),
            settings.sink.partitions,
        )

    @property
    def tables(self) -> dict[str, pa.Table]:
        """What it publishes, without rows."""
        return {"fields": empty_results("fields")}

    def attach(self, batches: Stream[Batch]) -> Stream[tuple[str, Output]]:
        """Add the steps to the flow of `batches`."""
        left = op.flat_map("field_deposits", batches, guarded("field_deposits", self.deposits))
        found = keyed("field", left, self.step)
        return op.flat_map_batch("field_results", found, guarded("field_results", self.results))

    def step(self, state: bytes | None) -> Recurrence:
        """Return the layers, as at the start or as they were."""
        return Recurrence(self.ticks, FieldMachine(self.config, self.form), state)

    def results(self, found: list[tuple[str, Result]]) -> Iterator[tuple[str, Output]]:
        """Yield the blocks of a publication for the sink partition of each: a block stays with one writer."""
        for _, result in found:
            block = int(result.id.rpartition("/")[2])
            yield str(block % self.sink_partitions), result
