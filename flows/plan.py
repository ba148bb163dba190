"""What a configuration means for a run: what its source checks, the stages that all its parts share, and the parts."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa

from flows.bridge import bridge_of
from flows.cells import CellsPart, layout_of
from flows.models import ModelFiles, load_swapped
from flows.part import Given, Part
from flows.parts import PARTS
from flows.settings.root import Settings
from flows.stage_plan import Named, row_stages
from kernels.backend import get_backend
from kernels.motion import MOTION_FEATURES
from kernels.scorer import Scorer
from operators.batch import Batch
from operators.bridge import Bridge
from operators.decisions import DecisionLog
from operators.guardian import QUARANTINED
from operators.ingest import IngestConfig
from operators.result_tables import Output
from operators.routed import Routed, Trial
from operators.swapped import Swapped

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Parameters
    ----------
    ingest
        What the source partitions check.
    row_stages
        Over events, in the order of the configuration; what they leave goes to every part.
    parts
        By name.
    backend
        Who does the arithmetic.
    models
        Loaded models by name.
    sink_partitions
        Number of writers.
    trial
        Told of the models' fast path while that is on trial.
    """

    ingest: IngestConfig
    row_stages: tuple[Named, ...]
    parts: dict[str, Part]
    backend: Bridge
    models: dict[str, Scorer]
    sink_partitions: int
    trial: Trial

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        columns: Collection[str],
        partitions: int,
        backend: Bridge | None = None,
        models: dict[str, Scorer] | None = None,
        decisions: DecisionLog | None = None,
    ) -> "Plan":
        """Build everything that `settings` describes.

        Parameters
        ----------
        settings
            Validated.
        columns
            The columns that the source gives.
        partitions
            Number of source partitions.
        backend, models
            If they are there already: who does the arithmetic, and the loaded models by name.
        decisions
            What the paths of the models follow, if the run may degrade.

        Raises
        ------
        ConfigError
            A stage or metric names a column that there is not, or a model cannot be loaded.
        """
        backend = backend or bridge_of(settings, layout_of(settings))
        models, trial = ModelFiles(settings).load(backend) if models is None else models, Trial()
        if decisions is not None:
            models = {
                name: _by_time(settings, name, model, backend, log=decisions, trial=trial)
                for name, model in models.items()
            }
        known, read = {*columns, *MOTION_FEATURES}, set[str]()
        if "safety" in settings.flows_used:
            known.add(QUARANTINED)
        stages = row_stages(settings.event_stages, known, read, models)
        motion = bool(read & set(MOTION_FEATURES))
        left = known if motion else known - set(MOTION_FEATURES)
        given = Given(frozenset(left), partitions, backend, models)
        return cls(
            ingest=_ingest(settings, partitions, columns=tuple(columns), motion=motion),
            row_stages=stages,
            parts={name: make(settings, given) for name, make in PARTS.items() if name in settings.flows_used},
            backend=backend, models=models, sink_partitions=settings.sink.partitions, trial=trial,
        )  # fmt: skip

    def account(self, batch: Batch) -> Iterator[tuple[str, Output]]:
        """Yield what the stages took out of a batch, for the sink partition of its source partition."""
        key = str(batch.partition % self.sink_partitions)
        return ((key, output) for output in batch.account())

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The kinds of results that the parts publish, each as a table without rows."""
        return {kind: table for part in self.parts.values() for kind, table in part.tables.items()}

    @property
    def cell_model(self) -> Callable[[int], str] | None:
        """Say which model scores the cells of windows with a start: its SHA-256; None if none does."""
        return next((p.model for p in self.parts.values() if isinstance(p, CellsPart)), None)


def _by_time(
    settings: Settings, name: str, model: Scorer, backend: Bridge, *, log: DecisionLog, trial: Trial
) -> Scorer:
    """Return a model whose paths, and which itself, follow the decisions."""
    safe, folder = get_backend("numpy"), log.path.parent

    def routed(fast: Scorer) -> Scorer:
        return Routed(fast, Scorer(fast.model, safe), log, trial)

    return Swapped(
        name, routed(model), log, lambda sha256: routed(load_swapped(settings, name, sha256, folder, backend))
    )


def _ingest(settings: Settings, partitions: int, *, columns: tuple[str, ...], motion: bool) -> IngestConfig:
    latenesses = [w.lateness_us for w in settings.windows_used]
    latenesses += [w.lateness_us for w in settings.sessions_used]
    return IngestConfig(
        settings.world.to_grid(),
        settings.metrics_used,
        # Parts over ticks of event time take what is in time by `event_time.lateness`.
        least_lateness_us=min(*latenesses, settings.event_time.lateness),
        lateness_us=max(latenesses),
        max_jump_us=settings.event_time.max_jump,
        future_us=settings.event_time.future,
        most_agents=_share(settings.limits.agents, partitions),
        dedup=settings.event_time.dedup,
        motion=motion,
        columns=columns,
        watch=settings.safety.to_bounds() if "safety" in settings.flows_used else None,
    )


def _share(agents: int | None, partitions: int) -> int | None:
    """Return how many agents each partition may know: each decides by itself, so that none waits for another."""
    return None if agents is None else max(1, agents // partitions)
