"""The bridge to the kernels that the configuration asks for, and the typical calls that it is measured with."""

import numpy as np
from numpy.typing import NDArray

from flows.settings.root import Settings
from kernels.aggregate import Layout
from kernels.backend import get_backend
from kernels.consensus import Ballot
from kernels.grid import Grid
from kernels.metric import MAX_BATCH_EVENTS, Metric
from kernels.shards import ShardMap
from operators.bridge import Bridge
from operators.bridge_paths import Samples, open_bridge

__all__ = ["bridge_of", "check_backends", "typical_calls"]

_SPREADS = (
    np.sqrt(np.array([2.0, 3.0, 5.0, 7.0, 11.0])) % 1
)  # multiples of each, modulo 1, spread evenly and apart
_OPTIONS = 8


def bridge_of(settings: Settings, layout: Layout) -> Bridge:
    """Return the bridge of a run whose cells have the statistics of `layout`."""
    grid = settings.world.to_grid()
    shards = ShardMap.uniform(grid.size, min(settings.shards.count, grid.size))
    rows = min(settings.input.batch_rows, MAX_BATCH_EVENTS)
    kernels = settings.kernels
    return open_bridge(kernels.backend, kernels.per_kernel, lambda: typical_calls(grid, shards, layout, rows))


def check_backends(settings: Settings) -> None:
    """Refuse to begin on a backend that was asked for and is not there; once a run goes on, its place is taken.

    Raises
    ------
    ConfigError
        This machine cannot run it.
    """
    for name in {settings.kernels.backend, *settings.kernels.per_kernel.values()} - {"auto"}:
        get_backend(name)


def typical_calls(grid: Grid, shards: ShardMap, layout: Layout, rows: int) -> Samples:
    """Return a typical call of each kernel that a batch of `rows` events needs."""
    x, y, z = (
        (low + _spread(rows, axis) * (high - low)).astype(np.float32).clip(np.float32(low), np.float32(high))
        for axis, (low, high) in enumerate(zip(grid.min_m, grid.upper_m, strict=True))
    )
    values = [_values(metric, rows) for metric in layout.metrics]
    metric = layout.metrics[0] if layout.metrics else Metric("value", 0.001, 0.0, 1.0)
    cells = grid.cells(x, y, z)
    ranks = grid.morton_rank[cells]
    votes = (_spread(rows, 3) * _OPTIONS).astype(np.int32)
    ballot = Ballot(ranks, grid.size, _values(metric, rows), votes, _OPTIONS)
    return {
        "cells": lambda backend: backend.cells(grid, x, y, z),
        "ranks": lambda backend: backend.ranks(grid, cells),
        "shard_of": lambda backend: backend.shard_of(shards, ranks),
        "quantise": lambda backend: backend.quantise(metric, _values(metric, rows)),
        "reduce": lambda backend: backend.reduce(cells, grid.size, values, layout),
        "consensus": lambda backend: backend.consensus(ballot, metric),
        "features": lambda backend: backend.features([x, y, z]),
    }


def _values(metric: Metric, rows: int) -> NDArray[np.float32]:
    return (metric.low + _spread(rows, 4) * (metric.high - metric.low)).astype(np.float32)


def _spread(rows: int, number: int) -> NDArray[np.float64]:
    """Return (N,) numbers of [0, 1), others for each `number`."""
    spread: NDArray[np.float64] = np.arange(1, rows + 1) * _SPREADS[number] % 1
    return spread
