"""What contradicts in a configuration whose tables are each well formed: one check a topic."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from flows.settings.agents import BLOCK_LEVEL
from flows.settings.analysis import WindowSettings
from flows.settings.problems import Problem
from flows.settings.stages import AggregateStage, InferenceStage, split
from flows.settings.types import duration_text
from kernels.errors import ConfigError
from kernels.panes import base_pane_us

if TYPE_CHECKING:
    from flows.settings.root import Settings

__all__ = ["MAX_CELLS", "MAX_PANES", "contradictions"]

MAX_CELLS = 2**24  # a partial over all cells is then at most some GiB
# A window is the sum of its panes; more of them and closing it takes longer than filling it.
MAX_PANES = 10_000
_KEYED = re.compile(r"(?P<key>input\.mapping[\w.]*)(?: = .*?['\d])?: (?P<what>.*)", re.DOTALL)
_WITHOUT_METRICS = {"count", "agents"}


def contradictions(settings: "Settings") -> list[Problem]:
    """Return every contradiction, in the order of the file."""
    checks: tuple[Callable[[Settings], Iterator[Problem]], ...] = (
        _mapping, _world, _metrics, _windows, _panes, _stages, _models, _kafka, _resources, _population, _levels, _http,
        _safety,
    )  # fmt: skip
    return [problem for check in checks for problem in check(settings)]


def _mapping(settings: "Settings") -> Iterator[Problem]:
    if settings.input.mapping is None:
        return
    try:
        settings.input.mapping.to_mapping()
    except ConfigError as error:
        said = _KEYED.fullmatch(str(error))
        yield Problem(said["key"], said["what"]) if said else Problem("input.mapping", str(error))


def _world(settings: "Settings") -> Iterator[Problem]:
    world = settings.world
    if any(high <= low for low, high in zip(world.min_m, world.max_m, strict=True)):
        yield Problem("world.max_m", f"must be above world.min_m = {list(world.min_m)} on each axis")
        return
    nx, ny, nz = world.shape
    if nx * ny * nz > MAX_CELLS:
        yield Problem(
            "world.cell_m", f"makes {nx} x {ny} x {nz} cells; allowed: {MAX_CELLS} in all; use larger cells"
        )
        return
    try:
        world.to_grid()
    except ConfigError as error:
        yield Problem("world.cell_m", str(error))


def _metrics(settings: "Settings") -> Iterator[Problem]:
    for name, metric in settings.metrics.items():
        if metric.high <= metric.low:
            yield Problem(f"metrics.{name}.high", f"must be above metrics.{name}.low = {metric.low:g}")
            continue
        try:
            metric.to_metric(name)
        except ConfigError as error:
            yield Problem(f"metrics.{name}.resolution", str(error))


def _windows(settings: "Settings") -> Iterator[Problem]:
    if not any(isinstance(window, WindowSettings) for window in settings.windows.values()):
        yield Problem(
            "windows", "none; allowed: at least one table [windows.NAME] with length and aggregates"
        )
    for name, window in settings.windows.items():
        key = f"windows.{name}"
        if isinstance(window, WindowSettings) and window.slide > window.length:
            yield Problem(
                f"{key}.slide", "longer than the window's length: events in between would be in no window"
            )
        if len(set(window.aggregates)) < len(window.aggregates):
            yield Problem(f"{key}.aggregates", "names one twice")
        if not settings.metrics and (asked := set(window.aggregates) - _WITHOUT_METRICS):
            yield Problem(
                f"{key}.aggregates", f"{', '.join(sorted(asked))} need a table [metrics.NAME]; there is none"
            )


def _panes(settings: "Settings") -> Iterator[Problem]:
    """Windows of the same lateness share their panes, so one odd slide can make the panes of another short."""
    windows = [
        table.to_window(name) for name, table in settings.windows.items() if isinstance(table, WindowSettings)
    ]
    for lateness_us in sorted({window.lateness_us for window in windows}):
        sharing = [window for window in windows if window.lateness_us == lateness_us]
        pane_us, longest = base_pane_us(sharing), max(sharing, key=lambda window: window.length_us)
        if (panes := longest.length_us // pane_us) > MAX_PANES:
            names = ", ".join(window.name for window in sharing)
            yield Problem(
                f"windows.{longest.name}.length",
                f"is {panes} panes of {pane_us} us, the longest that fits the lengths and slides of {names}; "
                f"allowed: {MAX_PANES}; make the slides multiples of each other",
            )


def _stages(settings: "Settings") -> Iterator[Problem]:
    aggregates = [i for i, stage in enumerate(settings.stages) if isinstance(stage, AggregateStage)]
    if len(aggregates) != 1:
        yield Problem("stages", f"{len(aggregates)} stages of kind 'aggregate'; allowed: exactly one")
    for i in aggregates:
        named: tuple[str, ...] = settings.stages[i].windows  # type: ignore[union-attr]  # it is an AggregateStage
        if named and set(named) <= settings.windows.keys() and not settings.windows_used:
            yield Problem(f"stages.{i}.windows", "session windows alone; name one with a length too")
        for name in named:
            if name not in settings.windows:
                yield Problem(
                    f"stages.{i}.windows", f"no window {name!r}; allowed: {', '.join(settings.windows)}"
                )


def _models(settings: "Settings") -> Iterator[Problem]:
    before, _ = split(settings.stages)
    for i, stage in enumerate(settings.stages):
        if not isinstance(stage, InferenceStage):
            continue
        role = "event" if i < len(before) else "cell"
        allowed = [name for name, model in settings.models.items() if model.role == role]
        if stage.model not in allowed:
            place = "before" if role == "event" else "after"
            yield Problem(
                f"stages.{i}.model",
                f"no model of role {role!r}, as stages {place} the aggregate need; "
                f"allowed: {', '.join(allowed) or f'none; add a table [models.NAME] with role = {role!r}'}",
            )


def _kafka(settings: "Settings") -> Iterator[Problem]:
    kafka = settings.kafka
    if kafka.security_protocol.startswith("SASL_"):
        for name in ("sasl_mechanism", "sasl_plain_username", "sasl_plain_password"):
            if getattr(kafka, name) is None:
                yield Problem(
                    f"kafka.{name}",
                    f"missing; kafka.security_protocol = {kafka.security_protocol!r} needs it",
                )
    elif kafka.sasl_mechanism is not None:
        yield Problem(
            "kafka.sasl_mechanism", "needs kafka.security_protocol; allowed: 'SASL_SSL', 'SASL_PLAINTEXT'"
        )


def _resources(settings: "Settings") -> Iterator[Problem]:
    limit = settings.limits.memory_gib
    if settings.resources.memory_gib > limit:
        yield Problem("resources.memory_gib", f"above limits.memory_gib = {limit:g}")


def _http(settings: "Settings") -> Iterator[Problem]:
    if settings.http.port is not None and not settings.http.local and settings.http.token is None:
        yield Problem(
            "http.token", f"missing; http.host = {settings.http.host!r} lets others in: set a token for them"
        )


def _population(settings: "Settings") -> Iterator[Problem]:
    population = settings.population
    if population.metric is not None and population.metric not in settings.metrics:
        allowed = ", ".join(settings.metrics) or "none; add a table [metrics.NAME]"
        yield Problem("population.metric", f"no such metric; allowed: {allowed}")
    events = [name for name, model in settings.models.items() if model.role == "event"]
    if population.model is not None and population.model not in events:
        allowed = ", ".join(events) or "none; add a table [models.NAME] with role = 'event'"
        yield Problem("population.model", f"no model of role 'event'; allowed: {allowed}")
    edge_m = min(settings.world.cell_m)
    if population.radius_m is not None and population.radius_m > edge_m:
        yield Problem(
            "population.radius_m",
            f"above {edge_m:g}, the shortest edge of world.cell_m: some would be missed",
        )


def _safety(settings: "Settings") -> Iterator[Problem]:
    safety = settings.safety
    for name, (low, high) in safety.information_bounds.ranges.items():
        if high < low:
            yield Problem(f"safety.information_bounds.ranges.{name}", "its second number is below its first")
    if safety.causal_consistency.reach < safety.causal_consistency.wait:
        yield Problem("safety.causal_consistency.reach", "must not be shorter than wait")
    if safety.quarantine > safety.silence:
        yield Problem(
            "safety.quarantine", f"must be at most safety.silence = {duration_text(safety.silence)}"
        )
    if safety.privacy_preservation.small_cells == "merge" and not safety.privacy_preservation.enforce:
        yield Problem("safety.privacy_preservation.small_cells", "allowed without enforce: suppress")
    if safety.privacy_preservation.enforce and settings.event_time.idle_timeout is not None:
        yield Problem(
            "event_time.idle_timeout",
            'allowed with safety.privacy_preservation.enforce: "off"; a window that is amended reveals by the difference',
        )


def _levels(settings: "Settings") -> Iterator[Problem]:
    """Ticks of results must hold whole steps, or lie whole in those that are longer."""
    levels = settings.levels
    scales_us = [scale * 1000 for scale in levels.time_scales_ms[BLOCK_LEVEL:]]
    if levels.tick_us % scales_us[0] or any(
        levels.tick_us % scale and scale % levels.tick_us for scale in scales_us
    ):
        steps = ", ".join(duration_text(scale) for scale in scales_us)
        yield Problem(
            "levels.tick",
            f"must be a multiple of the first of the steps {steps}, and divide or be divided by the others",
        )
