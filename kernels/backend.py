"""The registry of backends: who does the arithmetic.

Each gives the same bits, so the choice is one of speed; models and products of matrices agree to a few roundings.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import Layout
from kernels.consensus import Ballot, Consensus
from kernels.errors import ConfigError
from kernels.fields import FieldForm
from kernels.grid import Grid
from kernels.group import Index
from kernels.metric import Metric
from kernels.numpy_backend import NumpyBackend
from kernels.onnx_backend import OnnxBackend
from kernels.onnx_model import Model
from kernels.shards import ShardMap

__all__ = ["BACKENDS", "KERNELS", "Backend", "BackendName", "Kernel", "get_backend"]

BackendName = Literal["numpy", "onnx-cpu", "onnx-cuda"]
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)

Kernel = Literal[
    "cells", "ranks", "shard_of", "quantise", "reduce", "consensus", "tensor", "features", "predict", "field"
]
"""What a backend may be chosen for, kernel by kernel; `grid_sums` is reduce over cells, `predict_columns` is predict."""
KERNELS: tuple[Kernel, ...] = get_args(Kernel)


class Backend(Protocol):
    """What a backend does; the methods of the grid, the shard map, the metric and `aggregate.reduce` define it."""

    @property
    def name(self) -> str:
        """The name it is asked for by."""

    @property
    def provider(self) -> str:
        """What runs it: `numpy`, or the execution provider that ONNX Runtime got."""

    def provider_of(self, kernel: Kernel) -> str:
        """Return what runs a kernel."""

    @property
    def field(self) -> FieldForm:
        """The arithmetic of the layers of the field; the forms agree to the tolerances of `kernels.onnx_fields`."""

    def cells(
        self, grid: Grid, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
    ) -> NDArray[np.int32]:
        """Return the cell of every position, as `Grid.cells` does."""

    def ranks(self, grid: Grid, cells: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the Morton rank of every cell, as `Grid.morton_rank` has it."""

    def shard_of(self, shard_map: ShardMap, ranks: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the shard of every rank, as `ShardMap.shard_of` does."""

    def quantise(self, metric: Metric, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return values in steps, as `Metric.quantise` does."""

    def reduce(
        self, index: Index, size: int, values: Sequence[NDArray[np.float32]], layout: Layout
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Aggregate a batch by group, as `aggregate.reduce` does."""

    def grid_sums(
        self,
        grid: Grid,
        positions: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
        values: Sequence[NDArray[np.float32]],
        layout: Layout,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Aggregate a batch by cell: `reduce` over `cells`, which stay on the device."""

    def consensus(self, ballot: Ballot, metric: Metric) -> Consensus:
        """Count what agents say, and decide, as `consensus.consensus` does."""

    def tensor(
        self, operation: str, left: NDArray[np.float32], right: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Compute `left operation right`, as `tensor.compute` does."""

    def features(self, columns: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Put columns beside each other, as `features.feature_rows` does."""

    def predict(self, model: Model, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run a model over rows, (N, F) -> (N, *model.width): the same bits for a row whatever rows it comes with."""

    def predict_columns(self, model: Model, columns: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Run a model over columns: `predict` of `features`, which stay on the device."""


def get_backend(name: str) -> Backend:
    """Return the backend of a name in BACKENDS.

    Raises
    ------
    ConfigError
        If there is none of that name, or this machine cannot run it: there is no silent fallback.

    Examples
    --------
    >>> get_backend("numpy").provider
    'numpy'
    """
    if name == "numpy":
        return NumpyBackend()
    if name in BACKENDS:
        return OnnxBackend(name)
    raise ConfigError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
