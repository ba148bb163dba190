"""Which values of a configuration a run cannot change once it has begun: what its state and results are made with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.settings.layers import leaves
from flows.settings.root import Settings
from flows.settings.types import located
from kernels.errors import ConfigError
from operators.decisions import DecisionLog

__all__ = ["START_OVER", "as_begun", "compare", "shape_of"]

START_OVER = (
    "or start over with --fresh: then what was done so far is dropped, and the input is read from its start"
)
"""What always helps against a store that cannot be used."""

# What the state and the results so far were made with. What is not here may change from start to start.
_SHAPE = (
    "emergence", "event_time", "field", "flows", "levels",
    "input.as_is", "input.columns", "input.mapping", "input.partitions", "input.source", "kafka.prefix",
    "metrics", "models", "population", "shards", "simulate", "sink.partitions", "stages", "windows", "world",
)  # fmt: skip
_FREE = ("event_time.idle_timeout",)


def shape_of(settings: Settings) -> dict[str, Any]:
    """Return the values, by dotted key, that a run cannot change once it has begun."""
    values = leaves(settings.model_dump(mode="json"))
    shape = {key: value for key, value in values if _shapes(key, settings)}
    source = located(settings.input.source)
    if settings.input.source not in ("simulate", "kafka") and source.exists():
        shape["input.source (bytes, modified)"] = [source.stat().st_size, source.stat().st_mtime_ns]
    return shape


def _shapes(key: str, settings: Settings) -> bool:
    if key in _FREE or (key.startswith("models.") and key.endswith(".path")):
        return False
    if key.startswith("simulate.") and settings.input.source != "simulate":
        return False
    return key.startswith(_SHAPE)


def as_begun(now: Mapping[str, Any], before: Mapping[str, Any], log: Path) -> dict[str, Any]:
    """Return the values with each model that a decision of the run has put in place counted as the one it began with."""
    swaps = DecisionLog(log, 1, obeyed=True).schedule.swaps
    keys = {f"models.{swap.name}.sha256" for swap in swaps}
    named = {(f"models.{swap.name}.sha256", swap.sha256) for swap in swaps}
    begun = {key: before[key] for key in keys & before.keys() if (key, now.get(key)) in named}
    return {**now, **begun}


def compare(directory: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on in `directory` with values that are not those it began with.

    Raises
    ------
    ConfigError
        It names each key, its value and the one before.
    """
    changed = [
        f"{key} = {json.dumps(now.get(key))} (it was {json.dumps(before.get(key))})"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise ConfigError(
            f"the recovery store in {directory} is of a run with another configuration: {'; '.join(changed)}",
            f"Put the values back, {START_OVER}",
        )
