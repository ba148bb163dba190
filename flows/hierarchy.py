"""The flow of the hierarchy: events in, seven levels of regions out, each slower and coarser than the one below.

batches -> level events -> block (levels 0 to 3, by blocks of space) -> level 4 -> level 5 -> level 6
                              |                                           |          |          |
                              +-------------------------------------------+----------+----------+--> results
"""

from dataclasses import dataclass
from functools import partial

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Stream

from flows.part import Given
from flows.settings.root import Settings
from kernels.pyramid import COUPLING
from kernels.schema import MAX_LEVEL
from operators.batch import Batch
from operators.guard import guarded
from operators.keyed import keyed
from operators.level_block import Block
from operators.level_events import BLOCK_LEVEL, LevelEvents
from operators.level_results import LevelsConfig, directive_columns, level_columns
from operators.level_stage import Climb
from operators.level_upper import Upper
from operators.result import Result
from operators.result_tables import Output, empty_results

__all__ = ["HierarchyPart"]

_UPPER = range(BLOCK_LEVEL + 1, MAX_LEVEL + 1)
_Said = tuple[str, Result | Climb]


@dataclass(frozen=True)
class HierarchyPart:
    """The levels as a part of the run.

    Parameters
    ----------
    events
        The step before the blocks.
    config
        What every stage needs to know.
    shards
        Over which the blocks of space are dealt.
    sink_partitions
        Number of writers.
    """

    events: LevelEvents
    config: LevelsConfig
    shards: int
    sink_partitions: int

    @classmethod
    def of(cls, settings: Settings, given: Given) -> "HierarchyPart":
        """Build the steps that `settings` describes."""
        levels, event_time = settings.levels, settings.event_time
        metrics = tuple(m for m in settings.metrics_used if m.name in given.columns)
        config = LevelsConfig(
            metrics=metrics,
            scales_us=tuple(scale * 1000 for scale in levels.time_scales_ms),
            tick_us=levels.tick_us,
            coupling=round(levels.coupling * COUPLING),
            published=frozenset(levels.published),
            lateness_us=event_time.lateness,
            horizon_us=event_time.horizon,
            partitions=given.partitions,
        )
        events = LevelEvents(
            settings.world.to_grid(), metrics, tick_us=config.tick_of(BLOCK_LEVEL),
            lateness_us=event_time.lateness, shards=levels.shards,
        )  # fmt: skip
        return cls(events, config, levels.shards, settings.sink.partitions)

    @property
    def steps(self) -> list[str]:
        """The names of its steps."""
        return ["level_events", "block", *(f"level_{level}" for level in _UPPER)]

    @property
    def tables(self) -> dict[str, pa.Table]:
        """What it publishes, without rows."""
        metrics = self.config.metrics
        return {
            "levels": empty_results("levels", level_columns(metrics)),
            "directives": empty_results("directives", directive_columns(metrics)),
        }

    def attach(self, batches: Stream[Batch]) -> Stream[tuple[str, Output]]:
        """Add the steps to the flow of `batches`."""
        told = op.flat_map("level_events", batches, guarded("level_events", self.events))
        said: Stream[_Said] = keyed("block", told, partial(Block, self.config))
        outputs = [said]
        for level in _UPPER:
            climbs = op.filter_map(f"to_level_{level}", said, _to_world)
            senders = self.shards if level == BLOCK_LEVEL + 1 else 1
            said = keyed(f"level_{level}", climbs, partial(Upper, self.config, level, senders))
            outputs.append(said)
        return op.filter_map("hierarchy", op.merge("levels", *outputs), self._to_sink)

    def _to_sink(self, item: _Said) -> tuple[str, Output] | None:
        key, found = item
        return (str(int(key) % self.sink_partitions), found) if isinstance(found, Result) else None


def _to_world(item: _Said) -> tuple[str, Climb] | None:
    """Return what goes up, for the one key of the level above."""
    return ("0", item[1]) if isinstance(item[1], Climb) else None
