"""A metric as integers: values are rounded to whole steps of a resolution, so that sums ignore their order."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError

__all__ = ["MAX_BATCH_EVENTS", "MAX_STEPS", "Metric"]

MAX_BATCH_EVENTS = 1 << 17
# The proof that everything in aggregate.py rests on: MAX_BATCH_EVENTS * MAX_STEPS**2 = 2**17 * 2**46 = 2**63 is not
# reached, as steps stay below MAX_STEPS; so neither sums nor sums of squares of a batch can wrap an int64.
MAX_STEPS = 1 << 23
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Metric:
    """A named column, its resolution and its range; NaN in it means no value.

    Parameters
    ----------
    name
        The column.
    resolution
        One step, in the column's unit.
    low, high
        The range of valid values; those outside, and infinities, are bad input.

    Raises
    ------
    ConfigError
        If the range is empty or goes 2**23 steps or more from zero (float32 itself has 24 bits).

    Examples
    --------
    >>> speed = Metric("speed_mps", 0.01, 0.0, 400.0)
    >>> speed.quantise(np.array([1.5, 2.005, np.nan], "f4")).tolist()
    [150, 201, 0]
    """

    name: str
    resolution: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.resolution) and self.resolution > 0):
            raise ConfigError(f"metric {self.name}: resolution must be above 0, got {self.resolution!r}")
        if not -_FLOAT32_MAX <= self.low < self.high <= _FLOAT32_MAX:
            raise ConfigError(f"metric {self.name}: expected low < high, got {self.low!r} and {self.high!r}")
        if self.q_max >= MAX_STEPS:
            raise ConfigError(
                f"metric {self.name}: sums of squares stay exact below {MAX_STEPS} steps, "
                f"got {self.q_max} steps of {self.resolution!r} between {self.low!r} and {self.high!r}",
                f"Use a resolution above {self.resolution * self.q_max / MAX_STEPS:.3g} or a narrower range.",
            )

    @property
    def scale(self) -> float:
        """Steps per unit. A resolution of 0.001 gives exactly 1000.0, and then `value * scale` is exact."""
        return 1.0 / self.resolution

    @property
    def q_max(self) -> int:
        """Bound of the magnitude of a quantised value in range."""
        limit = max(abs(float(bound)) for bound in self._bounds)
        return math.ceil(min(limit * self.scale, 2.0**62))  # finite, so that a bad resolution has a message

    def quantise(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """Round values to steps: rint(float64(value) * scale), ties to even.

        Parameters
        ----------
        values
            (N,) float32 in range, or NaN.

        Returns
        -------
        (N,) int64, 0 where there is no value.
        """
        missing = np.isnan(values)
        if missing.any():
            values = np.where(missing, np.float32(0.0), values)
        steps = values.astype(np.float64)
        steps *= self.scale
        return np.rint(steps, out=steps).astype(np.int64)

    def out_of_range(self, values: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Say which values (N,) are infinite or out of range; None if none is. NaN, no value, is fine."""
        low, high = self._bounds
        if not len(values) or (np.min(values) >= low and np.max(values) <= high):  # False for NaN
            return None
        bad = (values < low) | (values > high)
        return bad if bad.any() else None

    @property
    def _bounds(self) -> tuple[np.float32, np.float32]:
        return np.float32(self.low), np.float32(self.high)
