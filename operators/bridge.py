"""The bridge to the kernels: each call goes to the first backend of its kernel's path that works, counted and timed.

The rules:

1. A call that fails on one backend (GPU lost, out of memory) is made again, whole, on the next of the path; numpy is
   the last. So nothing is lost, and what is exact stays the same to the bit.
2. A backend is abandoned, for all kernels, when it failed a call that another one then did: it is at fault, not the
   input. It is not asked again until `restore`.
3. Every switch is counted, logged, and told to `listeners`: scores of another backend may differ in the last bit, so
   it is a decision that a replay must know of.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernels.aggregate import Layout
from kernels.backend import Backend, Kernel
from kernels.consensus import Ballot, Consensus
from kernels.diffusion import Diffusion
from kernels.errors import AuraError, ConfigError, KernelFailed
from kernels.grid import Grid
from kernels.group import Index
from kernels.lattice import Lattice, Line
from kernels.metric import Metric
from kernels.onnx_model import Model
from kernels.potential import Relaxed, Screening
from kernels.shards import ShardMap
from operators.bridge_calls import DONE, FAILED, Calls

__all__ = ["Bridge", "Switch"]

T = TypeVar("T")
X = TypeVar("X")
Y = TypeVar("Y")
Floats = NDArray[np.float32]
Sums = tuple[NDArray[np.int64], Floats]
_log = logging.getLogger(__name__)


class Switch(NamedTuple):
    """A backend was abandoned.

    Attributes
    ----------
    kernel
        At which.
    lost, used
        The backend that failed, and the one that did the call instead.
    cause
        In words.
    origin
        From which input on the other one is used, where that can reach a result: partition and offsets, or a window.
    """

    kernel: Kernel
    lost: str
    used: str
    cause: str
    origin: str


class Bridge:
    """A backend made of others.

    Parameters
    ----------
    name
        What was asked for.
    paths
        For each kernel the backends to ask, the best first, numpy last.
    calls
        The account.
    report
        How the paths were chosen, for people.
    clock
        Seconds.

    Attributes
    ----------
    lost
        Abandoned backends, each with the cause.
    listeners
        Called with every switch.
    """

    def __init__(
        self,
        name: str,
        paths: Mapping[Kernel, Sequence[Backend]],
        calls: Calls,
        *,
        report: str = "",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name, self.calls, self.report = name, calls, report
        self.lost: dict[str, str] = {}
        self.listeners: list[Callable[[Switch], None]] = []
        self._paths, self._clock, self._place = paths, clock, _nowhere
        self.field = _Field(self.call)

    @property
    def provider(self) -> str:
        """What runs the kernels now, each provider once."""
        return " + ".join(dict.fromkeys(self.provider_of(kernel) for kernel in self._paths))

    def provider_of(self, kernel: Kernel) -> str:
        """Return what runs a kernel now."""
        return self._first(kernel).provider

    def restore(self, backend: str) -> None:
        """Ask an abandoned backend again from the next call on."""
        if self.lost.pop(backend, None) is not None:
            _log.warning("backend %s is asked again", backend)

    def watching(self, run: Callable[[X], Y], place: Callable[[X], str]) -> Callable[[X], Y]:
        """Return the step `run`, whose switches are told with the `place` of its input."""

        def watched(item: X) -> Y:
            self._place = lambda: place(item)
            try:
                return run(item)
            finally:
                self._place = _nowhere

        return watched

    def call(self, kernel: Kernel, ask: Callable[[Backend], T]) -> T:
        """Return what the first backend that works gives."""
        failed: list[tuple[str, AuraError]] = []
        for backend in self._paths[kernel]:
            if backend.name in self.lost:
                continue
            start = self._clock()
            try:
                result = ask(backend)
            except (KernelFailed, ConfigError) as error:  # a session that cannot be opened is a ConfigError
                self.calls.add(kernel, backend.name, FAILED, self._clock() - start)
                failed.append((backend.name, error))
                continue
            self.calls.add(kernel, backend.name, DONE, self._clock() - start)
            for lost, cause in failed:
                self._switch(Switch(kernel, lost, backend.name, cause.message, self._place()))
            return result
        raise failed[0][1]

    def cells(self, grid: Grid, x: Floats, y: Floats, z: Floats) -> NDArray[np.int32]:
        """Return the cell of every position."""
        return self.call("cells", lambda each: each.cells(grid, x, y, z))

    def ranks(self, grid: Grid, cells: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the Morton rank of every cell."""
        return self.call("ranks", lambda each: each.ranks(grid, cells))

    def shard_of(self, shard_map: ShardMap, ranks: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the shard of every rank."""
        return self.call("shard_of", lambda each: each.shard_of(shard_map, ranks))

    def quantise(self, metric: Metric, values: Floats) -> NDArray[np.int64]:
        """Return values in steps."""
        return self.call("quantise", lambda each: each.quantise(metric, values))

    def reduce(self, index: Index, size: int, values: Sequence[Floats], layout: Layout) -> Sums:
        """Aggregate a batch by group."""
        return self.call("reduce", lambda each: each.reduce(index, size, values, layout))

    def grid_sums(
        self, grid: Grid, positions: tuple[Floats, Floats, Floats], values: Sequence[Floats], layout: Layout
    ) -> Sums:
        """Aggregate a batch by cell: in one call, unless the two kernels go to different backends."""
        if self._first("cells") is self._first("reduce"):
            return self.call("reduce", lambda each: each.grid_sums(grid, positions, values, layout))
        return self.reduce(self.cells(grid, *positions), grid.size, values, layout)

    def consensus(self, ballot: Ballot, metric: Metric) -> Consensus:
        """Count what agents say, and decide."""
        return self.call("consensus", lambda each: each.consensus(ballot, metric))

    def tensor(self, operation: str, left: Floats, right: Floats) -> Floats:
        """Compute `left operation right`."""
        return self.call("tensor", lambda each: each.tensor(operation, left, right))

    def features(self, columns: Sequence[NDArray[Any]]) -> Floats:
        """Put columns beside each other."""
        return self.call("features", lambda each: each.features(columns))

    def predict(self, model: Model, features: Floats) -> Floats:
        """Run a model over rows."""
        return self.call("predict", lambda each: each.predict(model, features))

    def predict_columns(self, model: Model, columns: Sequence[NDArray[Any]]) -> Floats:
        """Run a model over columns: in one call, unless the two kernels go to different backends."""
        if self._first("features") is self._first("predict"):
            return self.call("predict", lambda each: each.predict_columns(model, columns))
        return self.predict(model, self.features(columns))

    def _first(self, kernel: Kernel) -> Backend:
        return next(each for each in self._paths[kernel] if each.name not in self.lost)

    def _switch(self, switch: Switch) -> None:
        self.lost[switch.lost] = switch.cause
        place = f" from {switch.origin} on" if switch.origin else ""
        _log.warning("%s takes the place of backend %s%s: %s", switch.used, switch.lost, place, switch.cause)
        for listener in self.listeners:
            listener(switch)


class _Field:
    """The arithmetic of the layers of the field, by whoever the bridge asks; nothing is written by a call that fails."""

    def __init__(self, call: "_Call") -> None:
        self._call = call

    def diffuse(self, field: Line, diffusion: Diffusion, out: Line) -> None:
        self._call("field", lambda each: each.field.diffuse(field, diffusion, out))

    def gradient(self, field: Line, lattice: Lattice, out: Floats) -> None:
        self._call("field", lambda each: each.field.gradient(field, lattice, out))

    def relax(self, potential: Line, source: Line, screening: Screening) -> Relaxed:
        return self._call("field", lambda each: each.field.relax(potential, source, screening))

    def entropy(self, marks: Floats, logs: Floats) -> Floats:
        return self._call("field", lambda each: each.field.entropy(marks, logs))


def _nowhere() -> str:
    return ""


class _Call(Protocol):
    def __call__(self, kernel: Kernel, ask: Callable[[Backend], T]) -> T: ...
