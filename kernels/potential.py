"""The potential: a screened Poisson equation with the agents as its sources, relaxed by Jacobi's method.

    (kappa^2 - laplacian) phi = q rho         far from borders a point source Q has phi = q Q exp(-kappa r) / (4 pi r)

A sweep puts for each node what its six neighbours and its source ask for, J(phi). The difference J(phi) - phi is the
residual divided by the diagonal, so a sweep tells how good the phi before it was. Sweeps are accelerated by Chebyshev's
semi-iteration, phi'' = w (J(phi') - phi) + phi, whose weights follow from the spectral radius of J, which is known: the
number of sweeps grows with sqrt(n) where Jacobi's own grows with n (Golub and Van Loan, "Matrix Computations", 4th
edition, 11.2.8). They end when the greatest residual is `tolerance` times the greatest source.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from kernels.diffusion import neighbour_sum, neighbours
from kernels.errors import ConfigError
from kernels.lattice import Lattice, Line

__all__ = ["Relaxed", "Screening", "relax"]

_CHUNK = 65_536  # as in kernels.diffusion
_LOOK = 2  # sweeps: to look for the greatest residual costs half a sweep
_LEAST_TOLERANCE = 1e-5  # float32 residuals of neighbouring values stop falling near 1e-6 of the source


@dataclass(frozen=True)
class Screening:
    """How the potential is made of its sources.

    Parameters
    ----------
    lattice
        Where.
    length_m
        1 / kappa, metres: how far a source reaches.
    tolerance
        The greatest residual that is accepted, as a share of the greatest source.
    most_sweeps
        Sweeps a step at most; what is not relaxed by then goes on in the next step.

    Raises
    ------
    ConfigError
        A value is out of range.
    """

    lattice: Lattice
    length_m: float
    tolerance: float = 1e-3
    most_sweeps: int = 200

    def __post_init__(self) -> None:
        if not (math.isfinite(self.length_m) and self.length_m > 0):
            raise ConfigError(f"field: expected a screening length above 0 m, got {self.length_m!r}")
        if not _LEAST_TOLERANCE <= self.tolerance < 1:
            raise ConfigError(
                f"field: expected a tolerance from {_LEAST_TOLERANCE:g} to below 1, got {self.tolerance!r}",
                "float32 goes no further",
            )
        if self.most_sweeps < 1:
            raise ConfigError(f"field: expected 1 sweep or more, got {self.most_sweeps}")

    @property
    def diagonal(self) -> float:
        """kappa^2 plus 2 / h^2 for each axis, 1/m^2."""
        return self.length_m**-2 + sum(2 / edge**2 for edge in self.lattice.cell_m)

    @cached_property
    def shares(self) -> tuple[np.float32, np.float32, np.float32]:
        """What J takes of a neighbour along x, y, z."""
        x, y, z = (np.float32(1 / (edge**2 * self.diagonal)) for edge in self.lattice.cell_m)
        return x, y, z

    @property
    def radius(self) -> float:
        """A bound of the spectral radius of J, reached where the border reflects."""
        return 1 - self.length_m**-2 / self.diagonal

    @cached_property
    def weights(self) -> tuple[np.float32, ...]:
        """Chebyshev's weight of each sweep."""
        square = self.radius**2
        found = [1.0, 1 / (1 - square / 2)]
        while len(found) < self.most_sweeps:
            found.append(1 / (1 - square * found[-1] / 4))
        return tuple(np.float32(weight) for weight in found[: self.most_sweeps])


class Relaxed(NamedTuple):
    """A potential, how many sweeps it took, and the greatest residual as a share of the greatest source."""

    potential: Line
    sweeps: int
    residual: float


def relax(potential: Line, source: Line, screening: Screening) -> Relaxed:
    """Relax a potential toward its sources.

    Parameters
    ----------
    potential
        (P,) where to start, closed: the potential of the step before is a good one.
    source
        (P,) q rho, 1/m^2 times the unit of the potential.

    Returns
    -------
    The potential, closed, in an array of its own; 0 everywhere where there is no source.
    """
    lattice = screening.lattice
    greatest = float(source.max(initial=0.0))
    if greatest <= 0:
        return Relaxed(lattice.zeros(), 0, 0.0)
    asked = source * np.float32(1 / screening.diagonal)
    goal = np.float32(greatest / screening.diagonal * screening.tolerance)
    older, now, change = potential.copy(), potential.copy(), np.float32(0)
    sweeps = 0
    for weight in screening.weights:
        looked = sweeps % _LOOK == 0
        found = _sweep(older, now, asked, screening, weight, looked=looked)
        if looked:
            change = found
            if change <= goal:  # of `now`, which is good enough as it is
                break
        older, now = now, older
        lattice.close(now)
        sweeps += 1
    return Relaxed(now, sweeps, float(change) * screening.diagonal / greatest)


def _weighted_sum(field: Line, screening: Screening, part: slice, total: Line, pair: Line) -> None:
    """Put the sum of the neighbours, each by its axis's share, into `total`."""
    total[:] = 0
    for share, (before, after) in zip(
        screening.shares, neighbours(field, screening.lattice, part), strict=True
    ):
        np.add(before, after, out=pair)
        pair *= share
        total += pair


def _sweep(
    older: Line, now: Line, asked: Line, screening: Screening, weight: np.float32, *, looked: bool
) -> np.float32:
    """Put what follows `now` into `older`; return the greatest |J(now) - now|, or 0 if it was not looked for."""
    lattice, shares = screening.lattice, screening.shares
    even = shares[0] == shares[1] == shares[2]
    first, last = lattice.core.start, lattice.core.stop
    scratch, greatest = np.empty((2, _CHUNK), np.float32), np.float32(0)
    for start in range(first, last, _CHUNK):
        part = slice(start, min(start + _CHUNK, last))
        total, work = scratch[:, : part.stop - part.start]
        if even:
            neighbour_sum(now, lattice, part, total, work)
            total *= shares[0]
        else:
            _weighted_sum(now, screening, part, total, work)
        total += asked[part]
        if looked:
            np.subtract(total, now[part], out=work)
            work *= lattice.inside[part]  # what is outside follows from the border
            greatest = max(greatest, work.max(), -work.min())
        before = older[part]
        total -= before
        total *= weight
        before += total
    return greatest
