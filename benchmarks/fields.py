"""The layered field at the reference's size: a step of all layers, marks a second, memory at a hundred million cells."""

import statistics
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.row import Effort, Row, rate, repeat
from kernels.backend import get_backend
from kernels.deposits import Deposits, gather
from kernels.diffusion import Diffusion
from kernels.fields import FieldConfig, Fields
from kernels.lattice import Lattice
from kernels.potential import Screening

__all__ = ["rows"]

_LATTICE = Lattice((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (100, 100, 10))
_CONFIG = FieldConfig(Diffusion(_LATTICE, 1 / 60, 50.0, 0.2), Screening(_LATTICE, 20.0))
_BATCH = 65_536
_AGENTS_A_STEP = 166_667  # a million agents that report ten times a second
_STEPS, _WARM = 60, 30


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the rows of the field."""
    found = {name: repeat(lambda name=name: _step_ms(name, _AGENTS_A_STEP), effort) for name in _forms()}
    few = repeat(lambda: _step_ms("numpy", 1_000), effort)
    numpy_ms, onnx_ms = found["numpy"], found["onnx-cpu"]
    what = "fields: a step of all layers, 100x100x10 cells"
    yield Row(
        f"{what}, a million agents at 10 Hz", numpy_ms[0], "ms", 3, at_most=True, runs=numpy_ms[1],
        peer="ONNX Runtime on the CPU", peer_value=onnx_ms[0], note="CPU time, median of 60 steps; 16.7 ms is real time",
    )  # fmt: skip
    yield Row(f"{what}, 6,000 agents at 10 Hz", few[0], "ms", 3, at_most=True, runs=few[1])
    median, runs = repeat(lambda: _marks_rate(effort), effort)
    yield Row("fields: marks of agents, eight nodes each", median, "M events/s", runs=runs)
    yield Row(
        "fields: state of 1000x1000x100 cells", _state_bytes(1000, 1000, 100) / 2**30, "GiB", 64, at_most=True,
        note="between steps; a step takes 1.9 GiB more for a while",
    )  # fmt: skip


def _forms() -> tuple[str, str]:
    return "numpy", "onnx-cpu"


def _agents(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    here = (rng.random((3, count)) * [[1000], [1000], [100]]).astype(np.float32)
    return here, np.minimum(rng.geometric(0.9, count) - 1, 6).astype(np.uint8)


def _left(count: int, seed: int) -> Deposits:
    here, level = _agents(count, seed)
    return gather(_LATTICE, *here, level=level, step=np.zeros(count, np.int64), steps=1)


def _step_ms(form: str, agents: int) -> float:
    """Return CPU milliseconds of a step once the layers have settled."""
    fields = Fields(_CONFIG, get_backend(form).field)
    left = [_left(agents, seed) for seed in range(4)]
    taken = []
    for step in range(_WARM + _STEPS):
        start = time.process_time()
        fields.step(left[step % len(left)])
        taken.append(time.process_time() - start)
    return statistics.median(taken[_WARM:]) * 1e3


def _marks_rate(effort: Effort) -> float:
    here, level = _agents(_BATCH, 9)
    step = np.zeros(_BATCH, np.int64)
    turns = effort.events(20)
    return rate(
        turns * _BATCH,
        lambda: [gather(_LATTICE, *here, level=level, step=step, steps=1) for _ in range(turns)],
    )


def _state_bytes(nx: int, ny: int, nz: int) -> int:
    lattice = Lattice((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (nx, ny, nz))
    config = FieldConfig(Diffusion(lattice, 1 / 60, 1.0, 0.2), Screening(lattice, 2.0))
    return Fields(config).nbytes  # pages that nobody has written to take no memory
