"""The pheromone: it diffuses and evaporates; and its gradient.

    c' = e (c + sum over axes of r (c_before + c_after - 2 c))        r = D dt / h^2, e = exp(-k dt)

This explicit step (forward in time, central in space) is stable and keeps every value positive while the r of the three
axes add up to at most 1/2. It moves no mass in the inside, and widens what stands there by exactly 2 D dt per axis and
step; its error against the diffusion equation falls with h^2. Only + - * are used, one by one, so every CPU gives the
same bits.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError
from kernels.lattice import Lattice, Line

__all__ = ["Diffusion", "diffuse", "gradient", "neighbour_sum", "neighbours"]

_CHUNK = 65_536  # nodes: two float32 temporaries of it stay in a second-level cache of 1 MB; half the calls of 16,384


@dataclass(frozen=True)
class Diffusion:
    """How the pheromone spreads in a step.

    Parameters
    ----------
    lattice
        Where.
    step_s
        Length of a step, seconds.
    diffusion_m2ps
        D, m^2/s, 0 or more.
    evaporation_per_s
        k, 1/s, 0 or more.

    Raises
    ------
    ConfigError
        A value is out of range, or the step unstable; the message names the largest stable D.

    Examples
    --------
    >>> lattice = Lattice((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (8, 8, 8))
    >>> Diffusion(lattice, 1.0, 10.0, 0.1).largest_m2ps
    16.666666666666668
    """

    lattice: Lattice
    step_s: float
    diffusion_m2ps: float
    evaporation_per_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step_s) and self.step_s > 0):
            raise ConfigError(f"field: expected a step above 0 s, got {self.step_s!r}")
        for name, value in (
            ("diffusion", self.diffusion_m2ps),
            ("evaporation", self.evaporation_per_s),
        ):
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"field: expected a {name} of 0 or more, got {value!r}")
        if self.diffusion_m2ps > self.largest_m2ps * (1 + 1e-12):
            raise ConfigError(
                f"field: diffusion {self.diffusion_m2ps:g} m^2/s is unstable with steps of {self.step_s:g} s and "
                f"cells of {' x '.join(f'{edge:g}' for edge in self.lattice.cell_m)} m",
                f"The largest stable diffusion is {self.largest_m2ps:.6g} m^2/s; or use shorter steps or larger cells",
            )

    @property
    def largest_m2ps(self) -> float:
        """The largest stable D, m^2/s."""
        return 0.5 / (self.step_s * sum(1 / edge**2 for edge in self.lattice.cell_m))

    @cached_property
    def numbers(self) -> tuple[np.float32, np.float32, np.float32]:
        """R along x, y, z."""
        x, y, z = (np.float32(self.diffusion_m2ps * self.step_s / edge**2) for edge in self.lattice.cell_m)
        return x, y, z

    @cached_property
    def kept(self) -> np.float32:
        """e, the share that does not evaporate in a step."""
        return np.float32(math.exp(-self.evaporation_per_s * self.step_s))


def diffuse(field: Line, diffusion: Diffusion, out: Line) -> None:
    """Put one step of `field`, which must be closed, into `out`, whose outside is then undefined."""
    lattice, numbers, kept = diffusion.lattice, diffusion.numbers, diffusion.kept
    even = numbers[0] == numbers[1] == numbers[2]
    first, last = lattice.core.start, lattice.core.stop
    scratch = np.empty((2, _CHUNK), np.float32)
    for start in range(first, last, _CHUNK):
        part = slice(start, min(start + _CHUNK, last))
        total, pair = scratch[:, : part.stop - part.start]
        here, result = field[part], out[part]
        if even:
            neighbour_sum(field, lattice, part, total, pair)
            np.multiply(here, np.float32(6), out=pair)
            total -= pair
            total *= numbers[0]
        else:
            _by_axis(field, diffusion, part, total, pair)
        np.add(here, total, out=result)
        if kept != 1:
            result *= kept


def neighbours(field: Line, lattice: Lattice, part: slice) -> Iterator[tuple[Line, Line]]:
    """Yield the neighbours before and after the nodes of `part`, along x, y, z; views."""
    for stride in lattice.strides:
        yield field[part.start - stride : part.stop - stride], field[part.start + stride : part.stop + stride]


def neighbour_sum(field: Line, lattice: Lattice, part: slice, total: Line, pair: Line) -> None:
    """Put the sum of the six neighbours of the nodes of `part` into `total`; `pair` is scratch."""
    (before, after), *others = neighbours(field, lattice, part)
    np.add(before, after, out=total)
    for before, after in others:
        np.add(before, after, out=pair)
        total += pair


def _by_axis(field: Line, diffusion: Diffusion, part: slice, total: Line, pair: Line) -> None:
    """Put the sum over axes of r (before + after - 2 here) into `total`."""
    total[:] = 0
    here = field[part]
    for number, (before, after) in zip(
        diffusion.numbers, neighbours(field, diffusion.lattice, part), strict=True
    ):
        np.add(before, after, out=pair)
        pair -= here
        pair -= here
        pair *= number
        total += pair


def gradient(field: Line, lattice: Lattice, out: NDArray[np.float32]) -> None:
    """Put the central differences of `field`, which must be closed, into `out`, (3, P): along x, y, z, per metre.

    `out` is closed then (`Lattice.close_component`).
    """
    pairs = neighbours(field, lattice, lattice.core)
    for axis, ((before, after), edge, line) in enumerate(zip(pairs, lattice.cell_m, out, strict=True)):
        np.subtract(after, before, out=line[lattice.core])
        line[lattice.core] *= np.float32(0.5 / edge)
        lattice.close_component(line, axis)
