"""The layered field: what agents leave behind, and what they can sense of it, step by step.

    pheromone    every report leaves a mark on the eight nodes around it; it diffuses and evaporates
    gradient     of the pheromone
    potential    of the agents of now: their marks, which fade with exp(-t / memory) and do not spread, are its sources
    information  entropy of the levels among those marks, cell by cell

A step: the layers move by one step, then the step's marks are added, and gradient, potential and information follow.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernels.deposits import LEVELS, Deposits
from kernels.diffusion import Diffusion, diffuse, gradient
from kernels.errors import ConfigError
from kernels.lattice import Lattice, Line
from kernels.level_mix import LevelMix, entropy
from kernels.potential import Relaxed, Screening, relax
from kernels.trilinear import UNIT, Places, places, sense, sense_gradient

__all__ = ["LAYERS", "FieldConfig", "FieldForm", "Fields", "NumpyForm"]

LAYERS = ("pheromone", "gradient", "potential", "information")


@dataclass(frozen=True)
class FieldConfig:
    """What a field is.

    Parameters
    ----------
    diffusion, screening
        Of the pheromone, and of the potential; both on one lattice.
    memory_s
        How long a mark counts as an agent of now.
        The potential of one alone is exp(-kappa r) / (4 pi r), r in metres.
    layers
        Which of LAYERS are computed; the others stay empty. Pheromone is always one of them.

    Raises
    ------
    ConfigError
        A value is out of range.
    """

    diffusion: Diffusion
    screening: Screening
    memory_s: float = 1.0
    layers: frozenset[str] = frozenset(LAYERS)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.memory_s) and self.memory_s > 0):
            raise ConfigError(f"field memory: expected above 0 s, got {self.memory_s!r}")
        if not self.layers <= set(LAYERS):
            raise ConfigError(
                f"field layers: expected some of {', '.join(LAYERS)}, got {sorted(self.layers)}"
            )
        if "pheromone" not in self.layers:
            raise ConfigError(f"field layers: pheromone is missing in {sorted(self.layers)}", "Add it")

    @property
    def lattice(self) -> Lattice:
        """Where the field is."""
        return self.diffusion.lattice


class FieldForm(Protocol):
    """Who does the arithmetic of the layers; the functions of the same names define it."""

    def diffuse(self, field: Line, diffusion: Diffusion, out: Line) -> None:
        """As `kernels.diffusion.diffuse`."""

    def gradient(self, field: Line, lattice: Lattice, out: NDArray[np.float32]) -> None:
        """As `kernels.diffusion.gradient`."""

    def relax(self, potential: Line, source: Line, screening: Screening) -> Relaxed:
        """As `kernels.potential.relax`."""

    def entropy(self, marks: NDArray[np.float32], logs: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `kernels.level_mix.entropy`."""


class NumpyForm:
    """The numpy form of the layers."""

    diffuse = staticmethod(diffuse)
    gradient = staticmethod(gradient)
    relax = staticmethod(relax)
    entropy = staticmethod(entropy)


class Fields:
    """The state of the four layers.

    Parameters
    ----------
    config
        What the field is.
    form
        Who does the arithmetic.

    Examples
    --------
    >>> lattice = Lattice((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (8, 8, 8))
    >>> fields = Fields(FieldConfig(Diffusion(lattice, 0.1, 50.0, 0.0), Screening(lattice, 20.0)))
    >>> here = [np.array([45.0], "f4")] * 3
    >>> from kernels.deposits import gather
    >>> fields.step(gather(lattice, *here, level=np.array([0], "u1"), step=np.array([0]), steps=1))
    >>> fields.sense(*here)[0].tolist()
    [1.0]
    """

    def __init__(self, config: FieldConfig, form: FieldForm | None = None) -> None:
        self.config, self._form = config, form or NumpyForm()
        lattice, step_s = config.lattice, config.diffusion.step_s
        self.pheromone, self.potential = lattice.zeros(), lattice.zeros()
        self.gradient = np.zeros((3, lattice.nodes), np.float32)
        self._presence, self._spare = lattice.zeros(), lattice.zeros()
        self._mix = LevelMix(
            lattice.size, LEVELS, memory_s=config.memory_s, step_s=step_s, entropy=self._form.entropy
        )
        self._fade = np.float32(math.exp(-step_s / config.memory_s))
        self._total = 0.0  # marks of now
        self.relaxed = Relaxed(self.potential, 0, 0.0)

    @property
    def information(self) -> NDArray[np.float32]:
        """(C,) bits, cells numbered as in (nz, ny, nx)."""
        return self._mix.bits

    @property
    def nbytes(self) -> int:
        """Memory held between steps."""
        lines = (self.pheromone, self.potential, self.gradient, self._presence, self._spare)
        return sum(line.nbytes for line in (*lines, self.config.lattice.inside)) + self._mix.nbytes

    def step(self, deposits: Deposits) -> None:
        """Move all layers by one step, with the marks that were left in it."""
        marks = self.config.lattice.zeros()
        marks[deposits.node] = deposits.units
        marks *= np.float32(1 / UNIT)
        self._spread(marks)
        if "gradient" in self.config.layers:
            self._form.gradient(self.pheromone, self.config.lattice, self.gradient)
        if "potential" in self.config.layers:
            self._attract(marks, int(deposits.units.sum()) / UNIT)
        if "information" in self.config.layers:
            self._mix.step(deposits.mark, deposits.agents)

    def _spread(self, marks: Line) -> None:
        """Move the pheromone."""
        self._form.diffuse(self.pheromone, self.config.diffusion, self._spare)
        self.pheromone, self._spare = self._spare, self.pheromone
        self.pheromone += marks
        self.config.lattice.close(self.pheromone)

    def _attract(self, marks: Line, total: float) -> None:
        """Move the potential; `total` is the sum of the marks, exactly."""
        config = self.config
        self._presence *= self._fade
        self._presence += marks
        source = self._presence * np.float32(1 / math.prod(config.lattice.cell_m))
        # All sources together grew by this factor: where no new mark disturbs it, the potential is then relaxed already.
        before, self._total = self._total, self._total * float(self._fade) + total
        self.potential *= np.float32(self._total / before) if before else np.float32(0)
        self.relaxed = self._form.relax(self.potential, source, config.screening)
        self.potential = self.relaxed.potential

    def sense(
        self, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return pheromone (N,) and its gradient (3, N) at N positions, between the nodes by trilinear weights."""
        lattice = self.config.lattice
        found: Places = places(lattice, x, y, z)
        return sense(lattice, self.pheromone, found), sense_gradient(lattice, self.gradient, found)

    def layer(self, name: str) -> NDArray[np.float32]:
        """Return a layer as (nz, ny, nx), the gradient as (3, nz, ny, nx); a view, which the next step may change."""
        lattice = self.config.lattice
        if name == "information":
            return self.information.reshape(lattice.shape[::-1])
        if name == "gradient":
            return self.gradient.reshape(3, *lattice.padded)[:, 1:-1, 1:-1, 1:-1]
        return lattice.inner(self.pheromone if name == "pheromone" else self.potential)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data: what the gradient and the information follow from, without those."""
        inner = self.config.lattice.inner
        lines = {"pheromone": self.pheromone, "potential": self.potential, "presence": self._presence}
        found = {name: inner(line).copy() for name, line in lines.items()}
        return found | {"total": self._total, "mix": self._mix.snapshot()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state that `snapshot` returned."""
        lattice = self.config.lattice
        lines = {"pheromone": self.pheromone, "potential": self.potential, "presence": self._presence}
        for name, line in lines.items():
            lattice.inner(line)[:] = state[name]
            lattice.close(line)
        self._total = state["total"]
        self._mix.restore(state["mix"])
        if "gradient" in self.config.layers:
            self._form.gradient(self.pheromone, lattice, self.gradient)
