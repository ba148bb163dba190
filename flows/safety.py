"""The flow of safety: what no event alone can show.

batches -+-> cause_ask -> causes (by cause) --------+-> violations
         +-> level_count -> level_bounds (one key) -+

What an agent does from one of its events to the next is watched in the source partitions (`operators.guardian`), and
what is published where it is published (`operators.privacy`); this part also says that they are.
"""

from dataclasses import dataclass
from functools import partial

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Stream

from flows.part import Given
from flows.settings.root import Settings
from operators.batch import Batch
from operators.causes import CAUSES, AskCauses, Causes, Patience
from operators.guard import guarded
from operators.keyed import keyed
from operators.level_bounds import CountLevels, LevelBounds, LevelMix
from operators.result import Result
from operators.result_tables import Output, empty_results

__all__ = ["SafetyPart"]


@dataclass(frozen=True)
class SafetyPart:
    """The watch over causes and over the mix of levels, as a part of the run.

    Parameters
    ----------
    patience, ask
        Of causes; None where no event names one.
    bounds, count
        Of levels; None where there are none.
    partitions, sink_partitions
        Of the source and of the sink.
    """

    patience: Patience | None
    ask: AskCauses | None
    bounds: LevelBounds | None
    count: CountLevels | None
    partitions: int
    sink_partitions: int

    @classmethod
    def of(cls, settings: Settings, given: Given) -> "SafetyPart":
        """Build what the invariants in `settings` and the columns of the events ask for."""
        patience = _patience(settings) if given.columns.issuperset(CAUSES) else None
        bounds = _bounds(settings) if "level" in given.columns else None
        return cls(
            patience, AskCauses(settings.shards.count, patience) if patience else None,
            bounds, CountLevels(bounds, given.backend) if bounds else None,
            given.partitions, settings.sink.partitions,
        )  # fmt: skip

    @property
    def steps(self) -> list[str]:
        """The names of its steps."""
        return [
            *(["cause_ask", "causes"] if self.ask else []),
            *(["level_count", "level_bounds"] if self.count else []),
        ]

    @property
    def tables(self) -> dict[str, pa.Table]:
        """What it publishes, without rows."""
        return {"violations": empty_results("violations")}

    def attach(self, batches: Stream[Batch]) -> Stream[tuple[str, Output]]:
        """Add the steps to the flow of `batches`."""
        found: list[Stream[tuple[str, Result]]] = []
        if self.ask is not None and self.patience is not None:
            told = op.flat_map("cause_ask", batches, guarded("cause_ask", self.ask))
            found.append(keyed("causes", told, partial(Causes, self.partitions, self.patience)))
        if self.count is not None and self.bounds is not None:
            told = op.flat_map("level_count", batches, guarded("level_count", self.count))
            found.append(keyed("level_bounds", told, partial(LevelMix, self.partitions, self.bounds)))
        if not found:
            return op.flat_map("safety_nothing", batches, lambda _: ())
        return op.map("violations", op.merge("safety", *found), self._to_sink)

    def _to_sink(self, item: tuple[str, Result]) -> tuple[str, Output]:
        key, result = item
        return str(int(key) % self.sink_partitions), result


def _patience(settings: Settings) -> Patience | None:
    causal = settings.safety.causal_consistency
    if not settings.safety.watches("causal_consistency"):
        return None
    return Patience(
        wait_us=causal.wait,
        reach_us=causal.reach,
        lateness_us=settings.event_time.lateness,
        horizon_us=settings.event_time.horizon,
    )


def _bounds(settings: Settings) -> LevelBounds | None:
    information = settings.safety.information_bounds
    if not settings.safety.watches("information_bounds"):
        return None
    return LevelBounds(
        grid=settings.world.to_grid(),
        region_cells=information.region_cells,
        every_us=information.every,
        levels=information.levels,
        lateness_us=settings.event_time.lateness,
        horizon_us=settings.event_time.horizon,
    )
