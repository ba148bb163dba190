"""The numpy backend: the kernels as they stand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import aggregate, consensus
from kernels.aggregate import Layout
from kernels.blocks import BLOCK_ROWS, in_blocks
from kernels.consensus import Ballot, Consensus
from kernels.features import feature_rows
from kernels.fields import NumpyForm
from kernels.grid import Grid
from kernels.group import Index
from kernels.metric import Metric
from kernels.onnx_model import Model
from kernels.onnx_numpy import run_model
from kernels.shards import ShardMap
from kernels.tensor import compute

__all__ = ["NumpyBackend"]

Positions = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


class NumpyBackend:
    """Runs the kernels on one core; safe to share between threads."""

    name = "numpy"
    provider = "numpy"
    field = NumpyForm()

    def __init__(self) -> None:
        # glibc hands big freed blocks back to the kernel, and faulting their pages in anew costs up to 1.5 of 7.5 ns
        # an event. The largest block freed so far, up to 32 MiB, sets the size below which it keeps them instead.
        np.empty(31 << 20, np.uint8)

    def provider_of(self, kernel: str) -> str:  # noqa: ARG002 (one runs them all)
        """Return what runs a kernel."""
        return self.provider

    def cells(
        self, grid: Grid, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
    ) -> NDArray[np.int32]:
        """Return the cell of every position."""
        return grid.cells(x, y, z)

    def ranks(self, grid: Grid, cells: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the Morton rank of every cell."""
        return grid.morton_rank[cells]

    def shard_of(self, shard_map: ShardMap, ranks: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the shard of every rank."""
        return shard_map.shard_of(ranks)

    def quantise(self, metric: Metric, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return values in steps."""
        return metric.quantise(values)

    def reduce(
        self, index: Index, size: int, values: Sequence[NDArray[np.float32]], layout: Layout
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Aggregate a batch by group."""
        return aggregate.reduce(index, size, values, layout)

    def grid_sums(
        self, grid: Grid, positions: Positions, values: Sequence[NDArray[np.float32]], layout: Layout
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Aggregate a batch by cell."""
        return aggregate.reduce(grid.cells(*positions), grid.size, values, layout)

    def consensus(self, ballot: Ballot, metric: Metric) -> Consensus:
        """Count what agents say, and decide."""
        return consensus.consensus(ballot, metric)

    def tensor(
        self, operation: str, left: NDArray[np.float32], right: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Compute `left operation right`."""
        return compute(operation, left, right)

    def features(self, columns: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Put columns beside each other."""
        return feature_rows(columns)

    def predict(self, model: Model, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run a model over rows."""
        return in_blocks(lambda block: run_model(model, block[0]), [features], model.width, BLOCK_ROWS)

    def predict_columns(self, model: Model, columns: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Run a model over columns."""
        return self.predict(model, feature_rows(columns))
