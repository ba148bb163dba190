"""The window kernel alone: cell of the position and statistics of a cell, batches of 64k events, one core."""

from collections.abc import Iterator

import numpy as np

from benchmarks.row import Effort, Row, rate, repeat
from kernels.aggregate import Layout, reduce
from kernels.backend import get_backend
from kernels.grid import Grid
from kernels.metric import Metric

__all__ = ["rows"]

_N = 65_536
_GRID = Grid((0.0, 0.0, 0.0), (1 / 64, 1 / 64, 1.0), (64, 64, 1))
_METRIC = Metric("m", 0.001, 0, 8000)


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the two rows of the kernel, beside a single scatter."""
    get_backend("numpy")  # as in the flow: it keeps freed memory
    rng = np.random.default_rng(0)
    x, y, value = (rng.random(_N, dtype=np.float32) * np.float32(0.999) for _ in range(3))
    scatter = _scatter_rate(_GRID.cells(x, y, y).astype(np.intp), effort)
    for what, all_of_it, target in (
        ("window kernel: cell, count, sum, squares, min, max", True, 130),
        ("window kernel: cell, count, sum", False, 200),
    ):
        layout = Layout((_METRIC,), (all_of_it,), (all_of_it,))

        def once(layout: Layout = layout) -> None:
            reduce(_GRID.cells(x, y, y), _GRID.size, [value], layout)

        median, runs = repeat(lambda once=once: _rate(once, effort), effort)
        name = "one np.add.at of int64 alone"
        yield Row(what, median, "M events/s", target, runs=runs, peer=name, peer_value=scatter)


def _scatter_rate(cells: np.ndarray, effort: Effort) -> float:
    total, ones = np.zeros(_GRID.size, np.int64), np.ones(_N, np.int64)
    return repeat(lambda: _rate(lambda: np.add.at(total, cells, ones), effort), effort)[0]


def _rate(once: object, effort: Effort) -> float:
    turns = effort.events(200)
    return rate(turns * _N, lambda: [once() for _ in range(turns)])  # type: ignore[operator]
