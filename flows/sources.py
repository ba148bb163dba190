"""Where events come from, as the configuration says: Kafka, a file, or the simulator."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bytewax.inputs import FixedPartitionedSource

from flows.settings.root import Settings
from flows.settings.types import located
from kernels.schema import REQUIRED
from kernels.simulate import Population
from operators.batch import Batch
from operators.ingest import IngestConfig
from operators.kafka_reader import topic_partitions
from operators.kafka_source import KafkaSource
from operators.pace import Pace
from operators.partitioned import load_partitioned
from operators.progress import Progress
from operators.rows_source import RowsSource
from operators.simulated_source import SimulatedSource

__all__ = ["EVENTS_TOPIC", "SIMULATION_START_US", "Input", "event_columns", "open_input", "populations"]

EVENTS_TOPIC = "aura.events"
"""Topic of the events; `kafka.prefix` stands before it."""
SIMULATION_START_US = 1_767_225_600_000_000
"""Event time of the simulation's first tick: 2026-01-01T00:00:00Z, so that a run does not depend on the day."""

_CANONICAL = (*REQUIRED, "seq", "level", "energy")
_SIMULATED = (*_CANONICAL, "speed_mps", "heading_rad", "climb_mps")


@dataclass(frozen=True)
class Input:
    """An opened source.

    Parameters
    ----------
    name
        As the configuration names it.
    columns
        The columns that its events have.
    partitions
        Number of source partitions.
    build
        Makes the Bytewax source, given what to check and whom to tell of the progress.
    """

    name: str
    columns: tuple[str, ...]
    partitions: int
    build: Callable[[IngestConfig, Progress], FixedPartitionedSource[Batch, bytes]]


def open_input(settings: Settings, *, until_end: bool = False) -> Input:
    """Open the source of `settings.input`.

    Parameters
    ----------
    settings
        Validated.
    until_end
        A Kafka source stops at the offsets that are the end now.

    Raises
    ------
    AuraError
        It cannot be opened: the message says what to do.
    """
    source = settings.input.source
    if source == "simulate":
        return _simulated(settings)
    if source == "kafka":
        return _kafka(settings, until_end=until_end)
    return _file(settings, located(source))


def event_columns(settings: Settings) -> tuple[str, ...]:
    """Return the columns that the flow knows of events in a topic."""
    given = settings.input.mapping
    mapped = (*given.columns, *given.derived) if given is not None else settings.input.columns
    return tuple(dict.fromkeys((*_CANONICAL, *settings.metrics, *mapped)))


def populations(settings: Settings, partitions: int) -> Callable[[int], Population]:
    """Return what makes partition k of the simulated population."""
    simulate, world = settings.simulate, settings.world

    def make(partition: int) -> Population:
        return Population(
            simulate.agents,
            simulate.seed,
            partition=partition,
            partitions=partitions,
            world_min_m=world.min_m,
            world_max_m=world.max_m,
            tick_us=simulate.tick,
            start_us=SIMULATION_START_US,
            coupling=simulate.coupling,
        )

    return make


def _simulated(settings: Settings) -> Input:
    simulate = settings.simulate
    partitions = simulate.partitions or settings.input.partitions
    ticks = max(1, simulate.duration // simulate.tick)

    def build(config: IngestConfig, progress: Progress) -> SimulatedSource:
        progress.total = simulate.agents * ticks
        made = populations(settings, partitions)
        return SimulatedSource(made, partitions, ticks, config, progress, pace=_pace(settings))

    return Input("simulate", _SIMULATED, partitions, build)


def _file(settings: Settings, path: Path) -> Input:
    given = settings.input
    mapping = given.mapping.to_mapping() if given.mapping is not None else None
    parts = load_partitioned(path, mapping, given.partitions, as_is=given.as_is)
    columns = tuple(parts[0].columns)

    def build(config: IngestConfig, progress: Progress) -> RowsSource:
        rows = given.batch_rows
        return RowsSource(path.name, parts, config, batch_rows=rows, progress=progress, pace=_pace(settings))

    return Input(str(path), columns, given.partitions, build)


def _pace(settings: Settings) -> Pace | None:
    speed = settings.input.speed
    return None if speed is None else Pace(speed)


def _kafka(settings: Settings, *, until_end: bool) -> Input:
    options, topic = settings.kafka.client_options(), settings.kafka.prefix + EVENTS_TOPIC
    mapping = settings.input.mapping.to_mapping() if settings.input.mapping is not None else None
    partitions = topic_partitions(options, topic)
    columns = event_columns(settings)

    def build(config: IngestConfig, progress: Progress) -> KafkaSource:
        return KafkaSource(
            options,
            topic,
            settings.kafka.group,
            config,
            columns=columns,
            batch_rows=settings.input.batch_rows,
            content_type=settings.kafka.content_type,
            mapping=mapping,
            until_end=until_end,
            idle_timeout_us=settings.event_time.idle_timeout,
            progress=progress,
        )

    return Input(topic, columns, partitions, build)
