"""The ONNX backend: the kernels as graphs on ONNX Runtime, on the CPU or on a GPU.

Batches are filled up to a few lengths, powers of two, so that the runtime's buffers keep their sizes: positions with
the lower corner, groups with one group more that is cut off again, values with NaN, which is no value.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from kernels.aggregate import Layout, checked
from kernels.consensus import Ballot, Consensus, check_ballot
from kernels.grid import Grid
from kernels.group import Index
from kernels.metric import Metric
from kernels.onnx_consensus import consensus_graph
from kernels.onnx_graphs import cells_graph, gather_graph, quantise_graph, reduce_graph
from kernels.onnx_session import open_session
from kernels.shards import ShardMap
from kernels.statistics import split_limbs

__all__ = ["OnnxBackend"]

_LEAST_LENGTH = 1024

Key = tuple[str, Grid | ShardMap | Metric | Layout | tuple[Metric, int]]


class OnnxBackend:
    """Runs the kernels in ONNX Runtime; a session per kernel is made when it is first used.

    Parameters
    ----------
    name
        `onnx-cpu` or `onnx-cuda`.

    Raises
    ------
    ConfigError
        If ONNX Runtime does not get the provider.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._sessions: dict[Key, onnxruntime.InferenceSession] = {}
        # A small session, so that a missing provider is an error when the flow is built and not at the first batch.
        probe = open_session(gather_graph(np.zeros(1, np.int32)), name)
        self.provider: str = probe.get_providers()[0]

    def cells(
        self, grid: Grid, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
    ) -> NDArray[np.int32]:
        """Return the cell of every position."""
        session = self._session(("cells", grid), lambda: cells_graph(grid))
        wanted = {each.name for each in session.get_inputs()}
        positions = {"x": x, "y": y, "z": z}
        feed = {
            name: _fill(positions[name], low)
            for name, low in zip("xyz", grid.min_m, strict=True)
            if name in wanted
        }
        return _run(session, feed)["cells"][: len(x)]

    def ranks(self, grid: Grid, cells: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the Morton rank of every cell."""
        session = self._session(("ranks", grid), lambda: gather_graph(grid.morton_rank))
        return _run(session, {"index": _fill(cells, 0)})["value"][: len(cells)]

    def shard_of(self, shard_map: ShardMap, ranks: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the shard of every rank."""
        session = self._session(("shards", shard_map), lambda: gather_graph(shard_map.table))
        return _run(session, {"index": _fill(ranks, 0)})["value"][: len(ranks)]

    def quantise(self, metric: Metric, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return values in steps."""
        session = self._session(("quantise", metric), lambda: quantise_graph(metric))
        return _run(session, {"values": _fill(values, 0)})["steps"][: len(values)]

    def reduce(
        self, index: Index, size: int, values: Sequence[NDArray[np.float32]], layout: Layout
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Aggregate a batch by group."""
        columns = checked(index, values, layout)
        session = self._session(("reduce", layout), lambda: reduce_graph(layout))
        feed = {f"values{m}": _fill(column, np.nan) for m, column in enumerate(columns)}
        feed["index"] = _fill(index.astype(np.int64, copy=False), size)
        rows = _run(session, {**feed, "size": np.array([size + 1])})
        ints, floats = layout.empty(size)
        for block, name in ((ints, "ints"), (floats, "floats")):
            for row in range(len(block)):
                if f"{name}{row}" in rows:
                    block[row] = rows[f"{name}{row}"][:size]
        for m, square in enumerate(layout.square):
            if square:
                ints[layout.lo(m)], ints[layout.hi(m)] = split_limbs(ints[layout.lo(m)])
        return ints, floats + np.float32(0.0)  # no -0.0

    def consensus(self, ballot: Ballot, metric: Metric) -> Consensus:
        """Count what agents say, and decide."""
        check_ballot(ballot)
        size, options = ballot.size, ballot.options
        session = self._session(("consensus", (metric, options)), lambda: consensus_graph(metric, options))
        feed = {
            "group": _fill(ballot.group.astype(np.int64, copy=False), size),
            "values": _fill(ballot.values, np.nan),
            "ballots": _fill(ballot.votes.astype(np.int64, copy=False), -1),
            "size": np.array([size + 1]),
        }
        return Consensus(**{name: rows[:size] for name, rows in _run(session, feed).items()})

    def _session(self, key: Key, build: Callable[[], bytes]) -> onnxruntime.InferenceSession:
        if key not in self._sessions:
            self._sessions[key] = open_session(build(), self.name)
        return self._sessions[key]


def _run(session: onnxruntime.InferenceSession, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def _fill(values: NDArray[Any], filler: float) -> NDArray[Any]:
    """Return (N,) values filled up to the next power of two, at least 1,024."""
    length = max(_LEAST_LENGTH, 1 << (len(values) - 1).bit_length()) if len(values) else _LEAST_LENGTH
    filled = np.empty(length, values.dtype)
    filled[: len(values)] = values
    filled[len(values) :] = filler
    return filled
