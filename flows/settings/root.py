"""The whole configuration: its tables, how it is loaded, and the kernels' objects that it describes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from flows.settings import agents, analysis, fields, operations, system
from flows.settings import population as people
from flows.settings.checks import contradictions
from flows.settings.input import Input
from flows.settings.layers import file_layers, leaves, merge, option_layers, variable_layers
from flows.settings.problems import as_error, from_validation
from flows.settings.safety import Safety
from flows.settings.stages import AggregateStage, InferenceStage, Stage, split
from flows.settings.types import Name, duration_text, parse_duration
from kernels.metric import Metric
from kernels.panes import Window
from kernels.sessions import SessionWindow

__all__ = ["Loaded", "Settings", "load", "parse"]


class Settings(BaseSettings):
    """The effective configuration: frozen, closed to unknown keys, durations in microseconds.

    `load` makes one from a profile, variables and options, `parse` from plain values.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    name: Name = "custom"
    flows: Annotated[tuple[system.Flow | Literal["all"], ...], Field(min_length=1)] = ("cells",)
    input: Input = Field(default_factory=Input)
    world: analysis.World
    metrics: dict[Name, analysis.MetricRange] = Field(default_factory=dict)
    event_time: analysis.EventTime = Field(default_factory=analysis.EventTime)
    windows: dict[Name, analysis.AnyWindow]
    stages: tuple[Stage, ...] = (AggregateStage(kind="aggregate"),)
    models: dict[Name, analysis.Model] = Field(default_factory=dict)
    kernels: system.Kernels = Field(default_factory=system.Kernels)
    shards: system.Shards = Field(default_factory=system.Shards)
    sink: system.Sink = Field(default_factory=system.Sink)
    kafka: system.Kafka = Field(default_factory=system.Kafka)
    recovery: system.Recovery = Field(default_factory=system.Recovery)
    http: operations.Http = Field(default_factory=operations.Http)
    log: operations.Log = Field(default_factory=operations.Log)
    tracing: operations.Tracing = Field(default_factory=operations.Tracing)
    degradation: operations.Degradation = Field(default_factory=operations.Degradation)
    dashboard: system.Dashboard = Field(default_factory=system.Dashboard)
    simulate: people.Simulate = Field(default_factory=people.Simulate)
    population: agents.Population = Field(default_factory=agents.Population)
    levels: agents.Levels = Field(default_factory=agents.Levels)
    field: fields.Field3D = Field(default_factory=fields.Field3D)
    emergence: fields.Emergence = Field(default_factory=fields.Emergence)
    resources: people.Resources = Field(default_factory=people.Resources)
    limits: people.Limits = Field(default_factory=people.Limits)
    safety: Safety = Field(default_factory=Safety)
    monitoring: people.Monitoring = Field(default_factory=people.Monitoring)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (pydantic names it)
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load` has put together and nothing else: the process's environment is read by its caller."""
        return (init_settings,)

    @property
    def flows_used(self) -> tuple[system.Flow, ...]:
        """The flows that run, each once, in the order in which they are attached."""
        return tuple(flow for flow in system.FLOWS if flow in self.flows or "all" in self.flows)

    @property
    def windows_used(self) -> tuple[Window, ...]:
        """The windows over cells of the aggregate stage, in the order in which they are configured."""
        agents = self.privacy_used
        return tuple(
            t.to_window(n, agents=agents) for n, t in self._used() if isinstance(t, analysis.WindowSettings)
        )

    @property
    def border_us(self) -> int:
        """Distance of the borders of event time at which a decision can take effect."""
        return min(window.slide_us for window in self.windows_used)

    @property
    def sessions_used(self) -> tuple[SessionWindow, ...]:
        """The session windows of the aggregate stage, in the order in which they are configured."""
        return tuple(t.to_window(n) for n, t in self._used() if isinstance(t, analysis.SessionSettings))

    @property
    def models_used(self) -> frozenset[str]:
        """The names of the models that a stage or a flow of this run uses."""
        named = {stage.model for stage in self.stages if isinstance(stage, InferenceStage)}
        if "population" in self.flows_used and self.population.model is not None:
            named.add(self.population.model)
        return frozenset(named)

    def _used(self) -> Iterator[tuple[str, analysis.AnyWindow]]:
        named = {name for stage in self.stages if isinstance(stage, AggregateStage) for name in stage.windows}
        return ((name, table) for name, table in self.windows.items() if not named or name in named)

    @property
    def privacy_used(self) -> bool:
        """Whether cells of few agents are withheld, or reported."""
        enforced = self.safety.privacy_preservation.enforce
        return self.safety.watches("privacy_preservation") and (enforced or "safety" in self.flows_used)

    @property
    def metrics_used(self) -> tuple[Metric, ...]:
        """The kernels' metrics, in the order in which they are configured."""
        return tuple(table.to_metric(name) for name, table in self.metrics.items())

    @property
    def event_stages(self) -> Sequence[Stage]:
        """The stages before the aggregate."""
        return split(self.stages)[0]

    @property
    def cell_stages(self) -> Sequence[Stage]:
        """The stages after the aggregate."""
        return split(self.stages)[1]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and by dotted key where each value came from."""

    settings: Settings
    provenance: dict[str, str]


def load(
    profile: str | Path, overrides: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None
) -> Loaded:
    """Return the configuration of a profile with what variables and options change in it.

    Parameters
    ----------
    profile
        The name of a shipped profile, or the path of a TOML file.
    overrides
        Values by dotted key, as text: the options `--set KEY=VALUE`.
    env
        Variables, of which those named `AURA_SECTION__KEY` count.

    Raises
    ------
    ConfigError
        It lists each problem with the key, the value, where that came from, and what is allowed.

    Examples
    --------
    >>> loaded = load("minimal", {"input.partitions": "2"})
    >>> loaded.settings.input.partitions, loaded.provenance["input.partitions"]
    (2, '--set')
    """
    layers = file_layers(profile)
    layers += variable_layers(Settings, env or {})
    layers += option_layers(Settings, overrides or {})
    layered = merge(layers)
    settings = parse(layered.values, layered.origins)
    effective = leaves(settings.model_dump(mode="json"))
    return Loaded(settings, {key: layered.origins.get(key, _implied(key)) for key, _ in effective})


def _implied(key: str) -> str:
    return "event_time.lateness" if key.startswith("windows.") and key.endswith(".lateness") else "default"


def parse(values: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> Settings:
    """Return the configuration of plain values, nested as in TOML; `origins` is for the words of an error.

    Raises
    ------
    ConfigError
        As of `load`.
    """
    values = _with_lateness(values)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise as_error(from_validation(error, Settings, values), values, origins or {}) from None
    if problems := contradictions(settings):
        raise as_error(problems, settings.model_dump(mode="json"), origins or {})
    return settings


def _with_lateness(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give every window without a lateness that of `event_time`, unless that is wrong itself: once is enough to say."""
    event_time, windows = values.get("event_time", {}), values.get("windows")
    try:
        lateness_us = parse_duration(event_time["lateness"])
    except (KeyError, TypeError, ValueError):
        return dict(values)
    if not isinstance(windows, Mapping):
        return dict(values)
    inherited = {"lateness": duration_text(lateness_us)}
    given = {name: inherited | table if isinstance(table, dict) else table for name, table in windows.items()}
    return {**values, "windows": given}
