"""`python -m benchmarks.gpu`: every kernel on numpy, ONNX Runtime on the CPU and on a GPU, and from where on each pays.

Without a GPU it says so, and prints what there is. Times are the least of a few runs, in and out of the caller's memory.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

from benchmarks.report import settings, terminal
from benchmarks.scoring import network
from flows.bridge import typical_calls
from kernels.aggregate import Layout
from kernels.backend import BACKENDS, Backend, get_backend
from kernels.errors import ConfigError
from kernels.grid import Grid
from kernels.metric import Metric
from kernels.onnx_consensus import consensus_graph
from kernels.onnx_features import features_graph
from kernels.onnx_graphs import cells_graph, gather_graph, quantise_graph, reduce_graph
from kernels.onnx_model import read_model
from kernels.onnx_session import PROVIDERS
from kernels.onnx_tensor import tensor_graph
from kernels.shards import ShardMap

__all__ = ["main"]

_GRID = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (64, 64, 1))
_SHARDS = ShardMap.uniform(_GRID.size, 64)
_METRIC = Metric("speed_mps", 0.001, 0, 8000)
_LAYOUT = Layout((_METRIC,), (True,), (True,))
_SIZES = (1024, 4096, 16_384, 65_536, 131_072)
_FULL = 65_536
_FEATURES, _OPTIONS = 8, 8
_RUNS = 5

Call = Callable[[Backend], object]


def main() -> None:
    """Print the tables."""
    console, backends = terminal(), _backends()
    for name, text in settings().items():
        console.print(f"{name}: {text}", style="dim")
    if "onnx-cuda" in backends:
        console.print(f"GPU: {_gpu()}")
    else:
        console.print("No GPU: nothing below says anything about one", style="bold")
    timed = {size: _timed(_calls(size), backends) for size in _SIZES}
    _rates(timed[_FULL], backends, console)
    _crossovers(timed, backends, console)
    if "onnx-cuda" in backends:
        _transfers(timed[_FULL], console)
        _placement(console)


def _backends() -> dict[str, Backend]:
    found = {}
    for name in BACKENDS:
        try:
            found[name] = get_backend(name)
        except ConfigError:
            continue
    return found


def _calls(size: int) -> dict[str, Call]:
    """Return a call of each kernel, and of the two chains, with `size` events."""
    rng, model = np.random.default_rng(0), read_model(network())
    columns = [rng.standard_normal(size, dtype=np.float32) for _ in range(_FEATURES)]
    features = np.stack(columns, axis=1)
    x, y, value = (rng.random(size, dtype=np.float32) * 640 for _ in range(3))
    side = int(size**0.5)
    square = rng.random((side, side), dtype=np.float32)
    return {
        **typical_calls(_GRID, _SHARDS, _LAYOUT, size),
        "grid_sums": lambda b: b.grid_sums(_GRID, (x, y, x), [value], _LAYOUT),
        "tensor add": lambda b: b.tensor("add", value, x),
        "tensor matmul": lambda b: b.tensor("matmul", square, square),
        "predict": lambda b: b.predict(model, features),
        "predict_columns": lambda b: b.predict_columns(model, columns),
    }


def _timed(calls: Mapping[str, Call], backends: Mapping[str, Backend]) -> dict[str, dict[str, float]]:
    """Return the seconds by kernel and backend."""
    return {
        kernel: {name: _least(lambda call=call, each=each: call(each)) for name, each in backends.items()}
        for kernel, call in calls.items()
    }


def _least(job: Callable[[], object]) -> float:
    job()
    seconds = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _rates(
    timed: Mapping[str, Mapping[str, float]], backends: Mapping[str, Backend], console: Console
) -> None:
    console.print(f"\nM events/s in batches of {_FULL:,}; of a tensor, M elements/s")
    table = _table(["kernel", *backends])
    for kernel, seconds in timed.items():
        table.add_row(kernel, *(f"{_FULL / seconds[name] / 1e6:,.1f}" for name in backends))
    console.print(table)


def _crossovers(
    timed: Mapping[int, Mapping[str, Mapping[str, float]]], backends: Mapping[str, Backend], console: Console
) -> None:
    """Print the least batch from which on a backend is faster than numpy."""
    others = [name for name in backends if name != "numpy"]
    console.print(
        f"\nFaster than numpy from how many events on; tried: {', '.join(f'{n:,}' for n in _SIZES)}"
    )
    table = _table(["kernel", *others])
    for kernel in timed[_FULL]:
        table.add_row(
            kernel, *(_crossover({n: t[kernel] for n, t in timed.items()}, each) for each in others)
        )
    console.print(table)


def _crossover(seconds: Mapping[int, Mapping[str, float]], name: str) -> str:
    slower = [size for size, each in seconds.items() if each[name] >= each["numpy"]]
    faster = [size for size in seconds if not slower or size > max(slower)]
    return f"{min(faster):,}" if faster else "never"


def _transfers(timed: Mapping[str, Mapping[str, float]], console: Console) -> None:
    """Print what part of a call is the way to the GPU and back, for kernels whose arrays are easily told."""
    sizes = {  # bytes an event in, bytes in all out
        "cells": (8, 4 * _FULL),
        "reduce": (12, 28 * _GRID.size),
        "grid_sums": (12, 28 * _GRID.size),
        "predict": (4 * _FEATURES, 4 * _FULL),
        "predict_columns": (4 * _FEATURES, 4 * _FULL),
    }
    console.print("\nThe way to the GPU and back alone, and its share of the call")
    table = _table(["kernel", "ms", "share"])
    for kernel, (into, out) in sizes.items():
        seconds = _least(lambda into=into, out=out: _carry(into * _FULL, out))
        table.add_row(kernel, f"{seconds * 1e3:.3f}", f"{seconds / timed[kernel]['onnx-cuda']:.0%}")
    console.print(table)


def _carry(into: int, out: int) -> None:
    for size in (into, out):
        array = np.zeros(size, np.uint8)
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0)
        if size == out:
            value.numpy()


def _placement(console: Console) -> None:
    """Print whether every node of each graph runs on the GPU."""
    graphs = {
        "cells": cells_graph(_GRID), "ranks, shard_of": gather_graph(_GRID.morton_rank),
        "quantise": quantise_graph(_METRIC), "reduce": reduce_graph(_LAYOUT),
        "consensus": consensus_graph(_METRIC, _OPTIONS), "tensor matmul": tensor_graph("matmul"),
        "features": features_graph([np.dtype(np.float32)] * _FEATURES), "predict": network(),
    }  # fmt: skip
    console.print("\nWhere ONNX Runtime puts the nodes of the graphs")
    table = _table(["kernel", "all on the GPU"])
    for kernel, graph in graphs.items():
        table.add_row(kernel, _placed(graph))
    console.print(table)


def _placed(graph: bytes) -> str:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        onnxruntime.InferenceSession(graph, options, providers=[PROVIDERS["onnx-cuda"]])
    except Exception as error:  # those of ONNX Runtime share no base class of their own
        return f"no: {str(error).splitlines()[0]}"
    return "yes"


def _gpu() -> str:
    if shutil.which("nvidia-smi") is None:
        return "of unknown name"
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()


def _table(columns: Sequence[str]) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, justify="left" if column == "kernel" else "right")
    return table


if __name__ == "__main__":
    main()
