"""The ONNX backend: the kernels as graphs on ONNX Runtime, on the CPU or on a GPU.

Batches are filled up to a few lengths, powers of two, so that the runtime's buffers keep their sizes: positions with
the lower corner, groups with one group more that is cut off again, values with NaN, which is no value. The number of
groups, of which the results are as long, is rounded up by at most an eighth.

Where one kernel reads what another makes, the array stays on a GPU between them: positions -> cells -> sums, and columns
-> features -> model. On the CPU there is no way to save: binding buffers costs 19 of 52 ns an event there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import Layout, checked
from kernels.blocks import BLOCK_ROWS, in_blocks
from kernels.consensus import Ballot, Consensus, check_ballot
from kernels.features import feature_rows
from kernels.grid import Grid
from kernels.group import Index
from kernels.metric import Metric
from kernels.onnx_consensus import consensus_graph
from kernels.onnx_features import features_graph
from kernels.onnx_fields import OnnxForm
from kernels.onnx_graphs import cells_graph, gather_graph, index_graph, quantise_graph, reduce_graph
from kernels.onnx_model import Model
from kernels.onnx_session import Session, Sessions
from kernels.onnx_tensor import tensor_graph
from kernels.shards import ShardMap
from kernels.statistics import split_limbs
from kernels.tensor import check_tensors

__all__ = ["OnnxBackend"]

_LEAST_LENGTH = 1024
# A GPU is not filled by a block that fits a core's cache. Not measured: benchmarks/gpu.py does where there is one.
_BLOCK_ROWS = {"onnx-cpu": BLOCK_ROWS, "onnx-cuda": 16_384}

Positions = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
Sums = tuple[NDArray[np.int64], NDArray[np.float32]]


class OnnxBackend:
    """Runs the kernels in ONNX Runtime; a session per kernel is made when it is first used.

    Parameters
    ----------
    name
        `onnx-cpu` or `onnx-cuda`.
    chained
        Whether arrays stay on the device between kernels; by default on a GPU alone.

    Raises
    ------
    ConfigError
        If ONNX Runtime does not get the provider.
    """

    def __init__(self, name: str, *, chained: bool | None = None) -> None:
        self.name = name
        self._chained = name == "onnx-cuda" if chained is None else chained
        self._sessions = Sessions(name)
        self.field = OnnxForm(self._sessions)
        # A small session, so that a missing provider is an error when the flow is built and not at the first batch.
        self.provider = self._sessions.get(
            "probe", None, lambda: gather_graph(np.zeros(1, np.int32))
        ).provider

    def provider_of(self, kernel: str) -> str:  # noqa: ARG002 (one runs them all)
        """Return what runs a kernel."""
        return self.provider

    def cells(
        self, grid: Grid, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
    ) -> NDArray[np.int32]:
        """Return the cell of every position."""
        session = self._cells(grid)
        cells: NDArray[np.int32] = session.run(_positions(grid, (x, y, z), session))["cells"][: len(x)]
        return cells

    def ranks(self, grid: Grid, cells: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the Morton rank of every cell."""
        session = self._sessions.get("ranks", grid, lambda: gather_graph(grid.morton_rank))
        return session.run({"index": _fill(cells, 0)})["value"][: len(cells)]

    def shard_of(self, shard_map: ShardMap, ranks: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the shard of every rank."""
        session = self._sessions.get("shard_of", shard_map, lambda: gather_graph(shard_map.table))
        return session.run({"index": _fill(ranks, 0)})["value"][: len(ranks)]

    def quantise(self, metric: Metric, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return values in steps."""
        session = self._sessions.get("quantise", metric, lambda: quantise_graph(metric))
        return session.run({"values": _fill(values, 0)})["steps"][: len(values)]

    def reduce(self, index: Index, size: int, values: Sequence[NDArray[np.float32]], layout: Layout) -> Sums:
        """Aggregate a batch by group."""
        columns = checked(index, values, layout)
        feed = _values(columns, size) | {"index": _fill(index.astype(np.int64, copy=False), size)}
        return _sums(self._reduce(layout).run(feed), size, layout)

    def grid_sums(
        self, grid: Grid, positions: Positions, values: Sequence[NDArray[np.float32]], layout: Layout
    ) -> Sums:
        """Aggregate a batch by cell; the cells of the events stay on the device."""
        if not self._chained:
            return self.reduce(self.cells(grid, *positions), grid.size, values, layout)
        events = len(positions[0])
        columns = checked(np.zeros(events, np.int32), values, layout)
        session, reduce = self._cells(grid), self._reduce(layout)
        cells = session.keep(_positions(grid, positions, session))["cells"]
        fence = self._sessions.get("index", grid.size, lambda: index_graph(grid.size))
        index = fence.keep({"cells": cells, "events": np.array([events])})["index"]
        rows = reduce.keep(_values(columns, grid.size) | {"index": index})
        return _sums({name: reduce.fetch(row) for name, row in rows.items()}, grid.size, layout)

    def consensus(self, ballot: Ballot, metric: Metric) -> Consensus:
        """Count what agents say, and decide."""
        check_ballot(ballot)
        size, of = ballot.size, (metric, ballot.options)
        session = self._sessions.get("consensus", of, lambda: consensus_graph(*of))
        feed = {
            "group": _fill(ballot.group.astype(np.int64, copy=False), size),
            "values": _fill(ballot.values, np.nan),
            "ballots": _fill(ballot.votes.astype(np.int64, copy=False), -1),
            "size": np.array([_bucket(size + 1)]),
        }
        return Consensus(**{name: rows[:size] for name, rows in session.run(feed).items()})

    def tensor(
        self, operation: str, left: NDArray[np.float32], right: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Compute `left operation right`."""
        check_tensors(operation, left, right)
        session = self._sessions.get("tensor", operation, lambda: tensor_graph(operation))
        if operation == "matmul":
            return session.run({"left": left, "right": right})["result"]
        return session.run({"left": left.ravel(), "right": right.ravel()})["result"].reshape(left.shape)

    def features(self, columns: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Put columns beside each other."""
        filled = [_fill(column, 0) for column in columns]
        return self._features(columns).run(_numbered(filled))["features"][: len(columns[0])]

    def predict(self, model: Model, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run a model over rows."""
        session = self._model(model)
        return in_blocks(
            lambda block: session.run({"features": block[0]})[model.output],
            [features], model.width, _BLOCK_ROWS[self.name],
        )  # fmt: skip

    def predict_columns(self, model: Model, columns: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Run a model over columns; the rows made of them stay on the device."""
        if not self._chained:
            return self.predict(model, feature_rows(columns))
        first, second = self._features(columns), self._model(model)

        def run(block: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
            rows = first.keep(_numbered([np.require(part, None, ["C", "A"]) for part in block]))
            return second.fetch(second.keep(rows)[model.output])

        return in_blocks(run, columns, model.width, _BLOCK_ROWS[self.name])

    def _cells(self, grid: Grid) -> Session:
        return self._sessions.get("cells", grid, lambda: cells_graph(grid))

    def _reduce(self, layout: Layout) -> Session:
        return self._sessions.get("reduce", layout, lambda: reduce_graph(layout))

    def _features(self, columns: Sequence[NDArray[Any]]) -> Session:
        dtypes = tuple(column.dtype for column in columns)
        return self._sessions.get("features", dtypes, lambda: features_graph(dtypes))

    def _model(self, model: Model) -> Session:
        return self._sessions.get("predict", model.sha256, lambda: model.data)


def _positions(grid: Grid, positions: Positions, session: Session) -> dict[str, NDArray[np.float32]]:
    """Return the axes that the session reads: a grid of one layer has no z."""
    axes = zip("xyz", positions, grid.min_m, strict=True)
    return {name: _fill(values, low) for name, values, low in axes if name in session.inputs}


def _values(columns: Sequence[NDArray[np.float32]], size: int) -> dict[str, NDArray[Any]]:
    filled: dict[str, NDArray[Any]] = {
        f"values{m}": _fill(column, np.nan) for m, column in enumerate(columns)
    }
    return filled | {"size": np.array([_bucket(size + 1)])}


def _sums(rows: Mapping[str, NDArray[Any]], size: int, layout: Layout) -> Sums:
    """Return the blocks of `aggregate.reduce` without the group that fills the batch up."""
    ints, floats = layout.empty(size)
    for block, name in ((ints, "ints"), (floats, "floats")):
        for row in range(len(block)):
            if f"{name}{row}" in rows:
                block[row] = rows[f"{name}{row}"][:size]
    for m, square in enumerate(layout.square):
        if square:
            ints[layout.lo(m)], ints[layout.hi(m)] = split_limbs(ints[layout.lo(m)])
    return ints, floats + np.float32(0.0)  # no -0.0


def _numbered(columns: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"f{i}": column for i, column in enumerate(columns)}


def _fill(values: NDArray[Any], filler: float) -> NDArray[Any]:
    """Return (N,) values filled up to the next power of two, at least 1,024."""
    length = max(_LEAST_LENGTH, 1 << (len(values) - 1).bit_length()) if len(values) else _LEAST_LENGTH
    filled = np.empty(length, values.dtype)
    filled[: len(values)] = values
    filled[len(values) :] = filler
    return filled


def _bucket(groups: int) -> int:
    """Return the least multiple of an eighth of a power of two that is not below `groups`."""
    step = max(1, (1 << (groups - 1).bit_length()) // 16)
    return -(-groups // step) * step
