"""The bundled flights as canonical columns, in order, and where training ends."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flows.settings.root import Settings, load
from kernels.errors import ConfigError
from kernels.grid import Grid
from kernels.motion import Motion
from kernels.schema import Columns

__all__ = ["FLIGHTS", "event_features", "file_sha256", "flights_grid", "read_flights", "trained_until_us"]

FLIGHTS = Path(__file__).parents[1] / "data" / "adsb_switzerland.parquet"
_TRAINED_US = 12 * 3_600_000_000  # the day's first 12 hours; the last 5 are held out


def read_flights() -> Columns:
    """Return the flights as the profile `flights` maps them, ordered by time, agent and row: (N,) columns."""
    mapping = _profile().input.mapping
    if mapping is None:
        raise ConfigError("the profile flights has no input.mapping", "The models are made from what it maps")
    columns = mapping.to_mapping().apply(pq.read_table(FLIGHTS).combine_chunks().to_batches()[0]).columns
    order = np.lexsort((columns["agent_id"], columns["time_us"]))
    return {name: values[order] for name, values in columns.items()}


def flights_grid() -> Grid:
    """Return the cells of the profile `flights`."""
    return _profile().world.to_grid()


def event_features(columns: Columns, names: tuple[str, ...]) -> NDArray[np.float32]:
    """Return (N, F) features of events in order of time."""
    everything: dict[str, NDArray[Any]] = columns | Motion().features(columns)
    return np.stack([everything[name] for name in names], axis=1)


def trained_until_us(columns: Columns) -> int:
    """Return the time at which training ends and what is held out begins."""
    return int(columns["time_us"].min()) + _TRAINED_US


def file_sha256(path: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _profile() -> Settings:
    return load("flights").settings
