"""Steps of the hierarchy as results: rows of the regions, and what goes up and down as directives.

    up      from a region to its parent:   value   what it saw: the mean of its children
                                           gap     how far that lay above its state
    down    from a region to its children: value   its state, toward which they are to move
                                           gap     how far it lies above what it saw of them

Agents of a level listen to their region's parent and children; a region says nothing where it has nothing to say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels import morton
from kernels.metric import Metric
from kernels.pyramid import NONE, POINT, Steps
from kernels.schema import MAX_LEVEL

__all__ = ["Level", "LevelsConfig", "directive_columns", "level_columns", "results"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LevelsConfig:
    """What the hierarchy needs to know.

    Parameters
    ----------
    metrics
        What is summed.
    scales_us
        Length of a step of each level; each a multiple of the one before.
    tick_us
        Results go out once for so long, and a level's step if that is longer; a multiple of the block level's step,
        and of it or it of each longer one.
    coupling
        In parts of `kernels.pyramid.COUPLING`.
    published
        The levels of which results go out.
    lateness_us, horizon_us, partitions
        As of windows.
    """

    metrics: tuple[Metric, ...]
    scales_us: tuple[int, ...]
    tick_us: int
    coupling: int
    published: frozenset[int]
    lateness_us: int
    horizon_us: int
    partitions: int

    def tick_of(self, level: int) -> int:
        """Return how long the results of a level are gathered, microseconds."""
        return max(self.tick_us, self.scales_us[level])


class Level(NamedTuple):
    """K steps of one level: what they counted, the distinct agents of the level, and the states before them."""

    level: int
    steps: Steps
    agents: Ints
    before: Ints


def level_columns(metrics: Sequence[Metric]) -> list[str]:
    """Return the names of the columns that the metrics add to the kind `levels`."""
    return [f"{metric.name}_{of}" for metric in metrics for of in ("count", "sum", "mean", "state")]


def directive_columns(metrics: Sequence[Metric]) -> list[str]:
    """Return the names of the columns that the metrics add to the kind `directives`."""
    return [f"{metric.name}_{of}" for metric in metrics for of in ("value", "gap")]


def results(found: Level, config: LevelsConfig) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    """Yield the kinds and the columns of what a level publishes: its rows, and its directives."""
    if found.level in config.published:
        yield "levels", _columns(found, config)
        yield "directives", _directives(found, config)


def _columns(found: Level, config: LevelsConfig) -> dict[str, NDArray[Any]]:
    """Return steps as rows of the kind `levels`."""
    columns: dict[str, NDArray[Any]] = {
        **_place(found, config), "events": found.steps.events, "agents": found.agents
    }  # fmt: skip
    for number, metric in enumerate(config.metrics):
        steps = found.steps
        columns[f"{metric.name}_count"] = steps.n[number].astype(np.float64)
        columns[f"{metric.name}_sum"] = steps.total[number] / metric.scale
        columns[f"{metric.name}_mean"] = _value(steps.mean[number], metric)
        columns[f"{metric.name}_state"] = _value(steps.state[number], metric)
    return columns


def _directives(found: Level, config: LevelsConfig) -> dict[str, NDArray[Any]]:
    """Return the rows to the parents and to the children of the regions that have something to say."""
    steps, before = found.steps, found.before
    said = {
        found.level + 1: (steps.mean, _gap(steps.mean, before)),
        found.level - 1: (steps.state, _gap(steps.state, steps.mean)),
    }
    kept = [_rows(found, config, to, *what) for to, what in said.items() if 0 <= to <= MAX_LEVEL]
    return {name: np.concatenate([rows[name] for rows in kept]) for name in kept[0]}


def _rows(
    found: Level, config: LevelsConfig, to_level: int, value: Ints, gap: Ints
) -> Mapping[str, NDArray[Any]]:
    said = np.flatnonzero(((gap != NONE) & (gap != 0)).any(axis=0)) if len(gap) else np.empty(0, np.intp)
    place = {name: column[said] for name, column in _place(found, config).items()}
    columns = place | {"to_level": np.full(len(said), to_level, np.uint8)}
    for number, metric in enumerate(config.metrics):
        columns[f"{metric.name}_value"] = _value(value[number][said], metric)
        columns[f"{metric.name}_gap"] = _value(gap[number][said], metric)
    return columns


def _place(found: Level, config: LevelsConfig) -> dict[str, NDArray[Any]]:
    cx, cy, cz = morton.decode(found.steps.code.astype(np.uint64))
    return {
        "time_us": (found.steps.step + 1) * config.scales_us[found.level],
        "level": np.full(len(cx), found.level, np.uint8),
        "cx": cx, "cy": cy, "cz": cz,
    }  # fmt: skip


def _gap(of: Ints, above: Ints) -> Ints:
    gap: Ints = np.where((of == NONE) | (above == NONE), NONE, of - above)
    return gap


def _value(fixed: Ints, metric: Metric) -> NDArray[np.float64]:
    return np.where(fixed == NONE, np.nan, fixed / (metric.scale * POINT))
