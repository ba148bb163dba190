import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.aggregate import MAX_BATCH_EVENTS, Layout
from kernels.backend import Backend, get_backend
from kernels.grid import Grid
from kernels.metric import MAX_STEPS, Metric
from kernels.shards import ShardMap

NUMPY, ONNX = get_backend("numpy"), get_backend("onnx-cpu")
FLAT = Grid((-500.0, 20.0, 0.0), (1000 / 64, 0.3, 5.0), (64, 50, 1))
DEEP = Grid((-500.0, 20.0, -1.0), (1000 / 64, 0.3, 5.0), (8, 9, 10))
SPEED = Metric("speed_mps", 0.01, -300.0, 300.0)
WIDE = Metric("wide", 0.3, -2.5e6, 2.5e6)
LAYOUT = Layout((SPEED, WIDE), square=(True, False), extrema=(False, True))
ALL = Layout((WIDE,), (True,), (True,))

SHARES = st.lists(st.floats(0, 1, width=32))
VALUES = st.lists(st.floats(-300, 300, width=32) | st.sampled_from([math.nan, -0.0, 0.5, 1.5, 300.0]))


def assert_same(found: NDArray[Any], expected: NDArray[Any]) -> None:
    """Type, shape and every bit are the same."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


def assert_reduce_alike(
    index: NDArray[Any], size: int, values: list[NDArray[np.float32]], layout: Layout
) -> None:
    """Both backends aggregate to the same bits."""
    for found, expected in zip(
        *(each.reduce(index, size, values, layout) for each in (ONNX, NUMPY)), strict=True
    ):
        assert_same(found, expected)


@pytest.mark.parametrize("grid", [FLAT, DEEP])
@given(shares=SHARES)
def test_cells_ranks_and_shards_are_alike(grid: Grid, shares: list[float]) -> None:
    """Both backends give each position, edges included, the same cell, rank and shard."""
    low, high = np.float32(grid.min_m), np.float32(grid.upper_m)
    x, y, z = (low + np.float32(shares).reshape(-1, 1) * (high - low)).clip(low, high).T.copy()
    shards = ShardMap.uniform(grid.size, 7)

    def keys(backend: Backend) -> list[NDArray[np.int32]]:
        cells = backend.cells(grid, x, y, z)
        ranks = backend.ranks(grid, cells)
        return [cells, ranks, backend.shard_of(shards, ranks)]

    for found, expected in zip(keys(ONNX), keys(NUMPY), strict=True):
        assert_same(found, expected)


@given(VALUES)
def test_steps_are_alike(values: list[float]) -> None:
    """Both backends round to the same steps, ties and nulls included."""
    column = np.array(values, np.float32)
    for metric in (SPEED, WIDE):
        assert_same(ONNX.quantise(metric, column), NUMPY.quantise(metric, column))


@given(VALUES, st.integers(1, 5))
@example([], 3)
@example([math.nan], 1)
@example([-0.0, 0.0, -0.0], 1)
def test_aggregates_are_alike(values: list[float], groups: int) -> None:
    """Both backends aggregate a batch to the same bits: empty, one event, nulls, zeros with a sign."""
    column = np.array(values, np.float32)
    index = np.arange(len(values), dtype=np.int32) % groups
    assert_reduce_alike(index, groups, [column, column[::-1]], LAYOUT)


@pytest.mark.parametrize("events", [1023, 1024, 1025, 65_536, MAX_BATCH_EVENTS])
def test_batches_of_any_length_are_alike(events: int) -> None:
    """Batches at and beside the lengths that are filled up, to the largest, aggregate alike; values near the limit."""
    rng = np.random.default_rng(events)
    index = rng.integers(0, 300, events)
    values = (rng.choice([-1, 1], events) * rng.uniform(0.99, 1, events) * (MAX_STEPS - 2) * 0.3).astype("f4")
    assert_reduce_alike(index, 300, [values], ALL)


def test_a_layout_without_metrics_counts() -> None:
    """Events are counted where no metric is configured."""
    assert_reduce_alike(np.array([2, 2, 0]), 3, [], Layout((), (), ()))


def test_sessions_are_made_once() -> None:
    """A kernel of the same grid is not built again for the next batch."""
    backend: Any = get_backend("onnx-cpu")
    x = np.zeros(3, np.float32)
    for _ in range(2):
        backend.cells(Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2, 2, 2)), x, x, x)
    assert len(backend._sessions) == 1 + 1  # and the one that looks for the provider
