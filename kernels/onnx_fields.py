"""The layers of the field as ONNX graphs: stencils are convolutions in three dimensions, Jacobi's sweeps a loop.

A convolution adds in an order of its own, so these forms agree with the numpy ones to rounding: to 1e-6 of the greatest
value for pheromone and gradient, to 5e-6 bits for the entropy, and for the potential to what its tolerance leaves open.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from kernels.diffusion import Diffusion
from kernels.lattice import Lattice, Line
from kernels.onnx_graph import Graph, Port
from kernels.onnx_session import Sessions
from kernels.potential import Relaxed, Screening

__all__ = ["OnnxForm", "diffuse_graph", "entropy_graph", "gradient_graph", "relax_graph"]

_FLOAT, _INT64, _BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
_AXES = (4, 3, 2)  # of x, y, z in (1, 1, nz, ny, nx)
_LEAST_TOTAL = np.float32(2.0**-126)  # as in kernels.level_mix

Floats = NDArray[np.float32]


class OnnxForm:
    """The ONNX form of the layers; a session per layer is made when it is first used.

    Parameters
    ----------
    sessions
        Of an ONNX backend.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def diffuse(self, field: Line, diffusion: Diffusion, out: Line) -> None:
        """As `kernels.diffusion.diffuse`."""
        lattice = diffusion.lattice
        session = self._sessions.get("diffuse", diffusion, lambda: diffuse_graph(diffusion))
        lattice.inner(out)[:] = session.run({"field": lattice.box(field)[None, None]})["next"][0, 0]

    def gradient(self, field: Line, lattice: Lattice, out: Floats) -> None:
        """As `kernels.diffusion.gradient`."""
        session = self._sessions.get("gradient", lattice, lambda: gradient_graph(lattice))
        found = session.run({"field": lattice.box(field)[None, None]})["gradient"]
        for axis, line in enumerate(out):
            lattice.inner(line)[:] = found[0, axis]
            lattice.close_component(line, axis)

    def relax(self, potential: Line, source: Line, screening: Screening) -> Relaxed:
        """As `kernels.potential.relax`."""
        lattice, line = screening.lattice, screening.lattice.zeros()
        greatest = float(source.max(initial=0.0))
        if greatest <= 0:
            return Relaxed(line, 0, 0.0)
        session = self._sessions.get("relax", screening, lambda: relax_graph(screening))
        feed: dict[str, Any] = {
            "start": lattice.inner(potential)[None, None],
            "asked": lattice.inner(source)[None, None] * np.float32(1 / screening.diagonal),
            "goal": np.array(greatest / screening.diagonal * screening.tolerance, np.float32),
        }
        found = session.run(feed)
        lattice.inner(line)[:] = found["potential"][0, 0]
        lattice.close(line)
        change = float(found["change"]) * screening.diagonal / greatest
        return Relaxed(line, int(found["sweeps"]), change)

    def entropy(self, marks: Floats, logs: Floats) -> Floats:
        """As `kernels.level_mix.entropy`."""
        session = self._sessions.get("entropy", len(marks), lambda: entropy_graph(len(marks)))
        return session.run({"marks": marks, "logs": logs})["bits"]


def diffuse_graph(diffusion: Diffusion) -> bytes:
    """Build `diffuse`: field float32 (1, 1, nz + 2, ny + 2, nx + 2) -> next float32 (1, 1, nz, ny, nx)."""
    numbers = [float(number) for number in diffusion.numbers]
    kernel = _star(numbers)
    kernel[0, 0, 1, 1, 1] = 1 - 2 * sum(numbers)
    graph = Graph()
    moved = graph.node("Conv", "field", graph.constant(kernel))
    graph.node("Mul", moved, graph.constant(diffusion.kept), output="next")
    return graph.model("diffuse", [_padded(diffusion.lattice)], [_inner("next", diffusion.lattice)])


def gradient_graph(lattice: Lattice) -> bytes:
    """Build `gradient`: field float32 (1, 1, nz + 2, ny + 2, nx + 2) -> gradient float32 (1, 3, nz, ny, nx)."""
    kernel = np.zeros((3, 1, 3, 3, 3), np.float32)
    for axis, edge in enumerate(lattice.cell_m):
        line = np.moveaxis(kernel[axis, 0], 2 - axis, 0)
        line[0, 1, 1], line[2, 1, 1] = -0.5 / edge, 0.5 / edge
    graph = Graph()
    graph.node("Conv", "field", graph.constant(kernel), output="gradient")
    return graph.model("gradient", [_padded(lattice)], [_inner("gradient", lattice, channels=3)])


def relax_graph(screening: Screening) -> bytes:
    """Build `relax`.

    start, asked float32 (1, 1, nz, ny, nx), goal float32 () -> potential of the same shape, sweeps int64 (), change
    float32 (): the greatest |J(potential) - potential|.
    """
    lattice, graph = screening.lattice, Graph()
    bounds = [graph.constant(np.int64(screening.most_sweeps)), graph.constant(np.True_)]
    none = [graph.constant(np.int64(0)), graph.constant(np.float32(0))]
    graph.loop(
        [*bounds, "start", "start", *none], ["last", "potential", "sweeps", "change"], _sweep(screening)
    )
    inputs = [_inner("start", lattice), _inner("asked", lattice), ("goal", _FLOAT, ())]
    outputs: list[Port] = [_inner("potential", lattice), ("sweeps", _INT64, ()), ("change", _FLOAT, ())]
    return graph.model("relax", inputs, outputs)


def entropy_graph(levels: int) -> bytes:
    """Build `entropy`: marks and logs float32 (levels, K) -> bits float32 (K,)."""
    graph = Graph()
    first, zero = graph.constant(np.array([0])), graph.constant(np.float32(0))
    total = graph.node(
        "Max", graph.node("ReduceSum", "marks", first, keepdims=1), graph.constant(_LEAST_TOTAL)
    )
    log = graph.node("Mul", graph.node("Log", total), graph.constant(np.float32(1 / np.log(2))))
    terms = graph.node("Mul", graph.node("Div", "marks", total), graph.node("Sub", log, "logs"))
    bits = graph.node("ReduceSum", terms, first, keepdims=0)
    most = graph.constant(np.float32(np.log2(levels)))
    graph.node("Min", graph.node("Max", bits, zero), most, output="bits")
    inputs: list[Port] = [("marks", _FLOAT, (levels, "K")), ("logs", _FLOAT, (levels, "K"))]
    return graph.model("entropy", inputs, [("bits", _FLOAT, ("K",))])


def _sweep(screening: Screening) -> Any:
    """Return the body of the loop: one sweep, or none where the potential is good enough."""
    lattice, graph = screening.lattice, Graph("sweep_")
    kernel = graph.constant(_star([float(share) for share in screening.shares]))
    wanted = graph.node("Add", graph.node("Conv", _around(graph, "now", lattice), kernel), "asked")
    change = graph.node("Abs", graph.node("Sub", wanted, "now"))
    graph.node("ReduceMax", change, output="change", keepdims=0)
    far = graph.node("Greater", "change", "goal")
    # As the numpy form, which looks at every second sweep alone.
    odd = graph.node("Mod", "number", graph.constant(np.int64(2)))
    graph.node("Or", far, graph.node("Cast", odd, to=_BOOL), output="goes_on")
    weight = graph.node("Gather", graph.constant(np.array(screening.weights)), "number")
    step = graph.node("Mul", graph.node("Sub", wanted, "older"), weight)
    graph.node("Where", "goes_on", "now", "older", output="new_older")
    graph.node("Where", "goes_on", graph.node("Add", "older", step), "now", output="new_now")
    graph.node("Add", "sweeps", graph.node("Cast", "goes_on", to=_INT64), output="new_sweeps")
    fields = [_inner(name, lattice) for name in ("older", "now", "new_older", "new_now")]
    consumed: list[Port] = [("number", _INT64, ()), ("goes_on_before", _BOOL, ()), *fields[:2]]
    consumed += [("sweeps", _INT64, ()), ("change_before", _FLOAT, ())]
    produced: list[Port] = [("goes_on", _BOOL, ()), *fields[2:], ("new_sweeps", _INT64, ())]
    return graph.body("sweep", consumed, [*produced, ("change", _FLOAT, ())])


def _around(graph: Graph, field: str, lattice: Lattice) -> str:
    """Add the outside to a field of (1, 1, nz, ny, nx), as the boundary says."""
    if lattice.boundary != "periodic":
        mode = "edge" if lattice.boundary == "reflecting" else "constant"
        pads = graph.constant(np.array([0, 0, 1, 1, 1] * 2))
        return graph.node("Pad", field, pads, mode=mode)
    for axis, size in zip(_AXES, lattice.shape, strict=True):
        ends = [
            graph.node("Slice", field, *(graph.constant(np.array([k])) for k in (start, start + 1, axis)))
            for start in (size - 1, 0)
        ]
        field = graph.node("Concat", ends[0], field, ends[1], axis=axis)
    return field


def _star(neighbours: Sequence[float]) -> Floats:
    """Return a kernel (1, 1, 3, 3, 3) of what the neighbours along x, y, z count."""
    kernel = np.zeros((1, 1, 3, 3, 3), np.float32)
    for axis, value in enumerate(neighbours):
        line = np.moveaxis(kernel[0, 0], 2 - axis, 0)
        line[0, 1, 1] = line[2, 1, 1] = value
    return kernel


def _padded(lattice: Lattice) -> Port:
    return "field", _FLOAT, (1, 1, *lattice.padded)


def _inner(name: str, lattice: Lattice, *, channels: int = 1) -> Port:
    return name, _FLOAT, (1, channels, *lattice.shape[::-1])
