"""The flow of the population: events in, the state of every agent out, tick by tick of event time.

batches -> last events -> owner (by agent) -> agents (by shard of space) -> results
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Stream

from flows.part import Given
from flows.settings.root import Settings
from kernels.agent_rows import agent_dtype
from kernels.errors import ConfigError
from kernels.metric import Metric
from kernels.patches import Patches
from kernels.scorer import Scorer
from operators.batch import Batch
from operators.guard import guarded
from operators.keyed import keyed
from operators.last_events import LastEvents
from operators.owner import Moves, Owner, OwnerConfig
from operators.population import PopulationConfig, ShardAgents
from operators.result import Result
from operators.result_tables import Output, empty_results

__all__ = ["PopulationPart"]

_CARRIED = ("energy", "speed_mps", "heading_rad")
_SEEN = ("near", "density", "near_heading_rad")
"""What a model may read beside an agent's own columns."""


@dataclass(frozen=True)
class PopulationPart:
    """The state of every agent as a part of the run.

    Parameters
    ----------
    last
        The step before the owners.
    config
        What the shards need to know.
    sink_partitions
        Number of writers.
    """

    last: LastEvents
    config: PopulationConfig
    sink_partitions: int

    steps = ("last_events", "owner", "agents")

    @classmethod
    def of(cls, settings: Settings, given: Given) -> "PopulationPart":
        """Build the steps that `settings` describes.

        Raises
        ------
        ConfigError
            The model reads a column that agents do not have.
        """
        asked, event_time = settings.population, settings.event_time
        metric = _metric(settings)
        model = given.models[asked.model] if asked.model is not None else None
        dtype = agent_dtype(_columns(given, metric, model))
        _check_features(model, dtype)
        ticks = OwnerConfig(
            patches=Patches(settings.world.to_grid(), asked.region_cells.bit_length() - 1, asked.shards),
            dtype=dtype,
            tick_us=asked.tick,
            lateness_us=event_time.lateness,
            expire_us=asked.expire,
            horizon_us=event_time.horizon,
            partitions=given.partitions,
        )
        last = LastEvents(
            ticks.patches.grid, dtype, tick_us=asked.tick, lateness_us=event_time.lateness,
            owners=ticks.patches.shards.shards,
        )  # fmt: skip
        radius_m = asked.radius_m or min(settings.world.cell_m)
        config = PopulationConfig(ticks, given.backend, metric, asked.neighbours, radius_m, model)
        return cls(last, config, settings.sink.partitions)

    @property
    def tables(self) -> dict[str, pa.Table]:
        """What it publishes, without rows."""
        kinds = ["agents", "regions"] + (["neighbours"] if self.config.neighbours else [])
        return {kind: empty_results(kind) for kind in kinds}

    def attach(self, batches: Stream[Batch]) -> Stream[tuple[str, Output]]:
        """Add the steps to the flow of `batches`."""
        told = op.flat_map("last_events", batches, guarded("last_events", self.last))
        moves = keyed("owner", told, partial(Owner, self.config.ticks))
        dealt = op.map("moves", moves, _to_shard)
        found = keyed("agents", dealt, partial(ShardAgents, self.config))
        return op.map("population", found, self._to_sink)

    def _to_sink(self, item: tuple[str, Result]) -> tuple[str, Output]:
        return str(int(item[0]) % self.sink_partitions), item[1]


def _to_shard(item: tuple[str, Moves]) -> tuple[str, Moves]:
    return str(item[1].shard), item[1]


def _metric(settings: Settings) -> Metric | None:
    name = settings.population.metric
    return next((m for m in settings.metrics_used if name in (None, m.name)), None)


def _columns(given: Given, metric: Metric | None, model: Scorer | None) -> Iterator[str]:
    """Yield the columns that an agent's row has beside those that every event has."""
    asked = [
        *_CARRIED,
        *([metric.name] if metric is not None else []),
        *(model.features if model is not None else ()),
    ]
    for name in dict.fromkeys(asked):
        if name in given.columns and name not in agent_dtype([]).fields:  # type: ignore[operator]  # it has fields
            yield name


def _check_features(model: Scorer | None, dtype: object) -> None:
    known = (*(getattr(dtype, "names", None) or ()), *_SEEN)
    if missing := [name for name in (model.features if model is not None else ()) if name not in known]:
        raise ConfigError(
            f"population.model: its features {', '.join(missing)} are not among the columns of agents",
            "Map or derive them in [input.mapping], or name another model",
        )
