"""A GPU gives what numpy gives. Without one, the CPU stands for the device and goes the same way through the chains."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.aggregate import Layout
from kernels.backend import Backend, get_backend
from kernels.consensus import Ballot
from kernels.errors import ConfigError, KernelFailed
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.onnx_backend import OnnxBackend
from kernels.onnx_model import read_model
from kernels.shards import ShardMap
from models.classifier import VALUES, classifier

NUMPY = get_backend("numpy")
GRID = Grid((-500.0, 20.0, -1.0), (1000 / 64, 0.3, 5.0), (8, 9, 10))
SHARDS = ShardMap.uniform(GRID.size, 7)
SPEED = Metric("speed_mps", 0.01, -300.0, 300.0)
WIDE = Metric("wide", 0.3, -2.5e6, 2.5e6)
LAYOUT = Layout((SPEED, WIDE), square=(True, True), extrema=(True, True))
SIZES = [0, 1, 1023, 1025, 40_000]


@pytest.fixture(scope="module", params=["stand-in", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Backend:
    """A GPU, or the CPU with its arrays bound as on a GPU."""
    if request.param == "stand-in":
        return OnnxBackend("onnx-cpu", chained=True)
    try:
        return get_backend("onnx-cuda")
    except ConfigError as error:
        pytest.skip(f"needs a CUDA GPU: {error.message}")


def _events(size: int) -> tuple[tuple[NDArray[np.float32], ...], list[NDArray[np.float32]]]:
    """Positions in the box, its edges among them, and values of both metrics, some null."""
    rng = np.random.default_rng(size)
    low, high = np.float32(GRID.min_m), np.float32(GRID.upper_m)
    share = rng.random((size, 3), dtype=np.float32)
    share[::10] = np.round(share[::10])
    x, y, z = (low + share * (high - low)).clip(low, high).T.copy()
    values = [rng.uniform(m.low, m.high, size).astype(np.float32) for m in LAYOUT.metrics]
    values[0][::7] = np.nan
    return (x, y, z), values


def _same(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_integers_are_equal(device: Backend, size: int) -> None:
    """Cells, ranks, shards, steps and sums are the same bits as numpy's."""
    positions, values = _events(size)
    cells = NUMPY.cells(GRID, *positions)
    _same(device.cells(GRID, *positions), cells)
    _same(device.ranks(GRID, cells), ranks := NUMPY.ranks(GRID, cells))
    _same(device.shard_of(SHARDS, ranks), NUMPY.shard_of(SHARDS, ranks))
    _same(device.quantise(SPEED, values[0]), NUMPY.quantise(SPEED, values[0]))
    expected = NUMPY.reduce(cells, GRID.size, values, LAYOUT)
    for found in (
        device.reduce(cells, GRID.size, values, LAYOUT),
        device.grid_sums(GRID, positions, values, LAYOUT),
    ):
        for got, wanted in zip(found, expected, strict=True):
            _same(got, wanted)


@pytest.mark.parametrize("size", SIZES)
def test_the_consensus_is_equal(device: Backend, size: int) -> None:
    """Means, votes and majorities are the same bits as numpy's."""
    rng, (_, values) = np.random.default_rng(size), _events(size)
    said = Ballot(rng.integers(0, 70, size), 70, values[0], rng.integers(-1, 8, size), 8)
    found, expected = device.consensus(said, SPEED), NUMPY.consensus(said, SPEED)
    for name, wanted in vars(expected).items():
        _same(getattr(found, name), wanted)


@pytest.mark.parametrize("size", SIZES)
def test_features_and_tensors_are_equal(device: Backend, size: int) -> None:
    """Rows of features, sums and products by element are numpy's, products of matrices lie within the bound."""
    positions, values = _events(size)
    np.testing.assert_array_equal(device.features(values), NUMPY.features(values))
    for operation in ("add", "mul"):
        found = device.tensor(operation, positions[0], values[0])
        np.testing.assert_array_equal(found, NUMPY.tensor(operation, positions[0], values[0]))
    left, right = np.stack(positions), np.stack(positions, axis=1)
    exact, magnitude = left.astype(float) @ right.astype(float), np.abs(left).astype(float) @ np.abs(right)
    bound = 2 * (size + 1) * 2.0**-24 * magnitude
    assert (np.abs(device.tensor("matmul", left, right) - exact) <= bound).all()


@pytest.mark.parametrize("size", [0, 1, 2000])
def test_models_agree(device: Backend, size: int) -> None:
    """A model gives numpy's classes to 1e-4, over rows and over columns, and the same bits in any batching."""
    model = read_model(classifier())
    rows = np.random.default_rng(size).normal(0, 0.3, (size, VALUES)).astype(np.float32)
    found = device.predict(model, rows)
    np.testing.assert_allclose(found, NUMPY.predict(model, rows), rtol=1e-4, atol=1e-5)
    _same(device.predict_columns(model, list(rows.T)), found)
    parts = [device.predict(model, part) for part in np.split(rows, [size // 3])]
    _same(np.concatenate(parts), found)


@pytest.mark.gpu
def test_a_device_out_of_memory_says_so_and_goes_on() -> None:
    """A product too large for any GPU fails as a kernel, and the device does the next call."""
    try:
        cuda = get_backend("onnx-cuda")
    except ConfigError as error:
        pytest.skip(f"needs a CUDA GPU: {error.message}")
    tall = np.ones((500_000, 1), np.float32)
    with pytest.raises(KernelFailed, match="backend onnx-cuda failed in the kernel tensor"):
        cuda.tensor("matmul", tall, tall.T.copy())  # 1 TB
    assert cuda.tensor("add", tall, tall).sum() == 1_000_000
