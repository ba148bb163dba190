"""The information: the entropy of the mix of levels among the marks in a cell, in bits.

Marks fade with exp(-t / memory). Entropy does not ask for their scale, so instead of fading all old marks a step makes
new ones heavier (forward decay: Cormode et al., "Forward Decay", ICDE 2009), and only cells with new marks are computed
again. From time to time all are scaled down by a power of two, which changes no bit but takes the faintest ones away.

The logarithm is made of + - * / on float32 and its bits alone, so every CPU gives the same; it is off by 2e-6 at most.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LevelMix", "entropy"]

Marks = NDArray[np.float32]

_CHUNK = 4096  # cells: with seven levels the temporaries take 450 KiB
_RESCALE = 2.0**32  # with memories of seconds, twice a minute
_FAINTEST = np.float32(2.0**-64)  # far above what float32 holds slowly
_DENSE = 4  # with new marks in a quarter of the cells, computing all of them is as cheap
# log2(1 + t) = t (c0 + c1 t + ...), t in [0, 1): least greatest error, 2.1e-6; 0 at t = 0.
_LOG2 = tuple(
    np.float32(c) for c in (1.44255314, -0.71828191, 0.45827075, -0.27953802, 0.12345138, -0.026457413)
)
_EXPONENT_BITS, _EXPONENT_BIAS = 23, 127
_MANTISSA, _ONE = np.int32(0x007FFFFF), np.int32(0x3F800000)


class LevelMix:
    """The marks in C cells by level, and the entropy of their mix.

    Parameters
    ----------
    cells, levels
        C, and L.
    memory_s, step_s
        How long marks last, and the length of a step.
    entropy
        Who computes entropies: the function below, or its ONNX form.

    Examples
    --------
    >>> mix = LevelMix(3, 7, memory_s=1.0, step_s=0.1, entropy=entropy)
    >>> mix.step(np.array([0, 2, 5]), np.array([5, 4, 4]))
    >>> mix.bits.tolist()
    [0.0, 0.0, 1.0]
    """

    def __init__(
        self,
        cells: int,
        levels: int,
        *,
        memory_s: float,
        step_s: float,
        entropy: Callable[[Marks], NDArray[np.float32]],
    ) -> None:
        self._entropy = entropy
        self._growth = math.exp(step_s / memory_s)
        self._weight = 1.0
        self._marks: Marks = np.zeros((levels, cells), np.float32)
        self.bits: NDArray[np.float32] = np.zeros(cells, np.float32)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._marks.nbytes + self.bits.nbytes

    def step(self, mark: NDArray[np.int64], count: NDArray[np.int64]) -> None:
        """Add a step's marks: (M,) distinct level * C + cell, rising, and how many of each there are."""
        self._weight *= self._growth
        cells = self._marks.shape[1]
        added = count.astype(np.float32)
        added *= np.float32(self._weight)
        self._marks.reshape(-1)[mark] += added
        if self._weight >= _RESCALE:
            self._rescale()
        elif len(mark) * _DENSE < cells:
            touched = np.unique(mark % cells)
            self.bits[touched] = self._entropy(self._marks.take(touched, axis=1))
            return
        self.bits[:] = self._entropy(self._marks)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data: the cells with marks alone."""
        cells = np.flatnonzero(self._marks.any(axis=0))
        return {"weight": self._weight, "cells": cells, "marks": self._marks[:, cells]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state that `snapshot` returned."""
        self._weight = state["weight"]
        self._marks[:] = 0
        self._marks[:, state["cells"]] = state["marks"]
        self.bits[:] = self._entropy(self._marks)

    def _rescale(self) -> None:
        while self._weight >= _RESCALE:
            self._weight /= _RESCALE
            self._marks *= np.float32(1 / _RESCALE)
            self._marks[self._marks < _FAINTEST] = 0


def entropy(marks: Marks) -> NDArray[np.float32]:
    """Return the entropy of each column of (L, K) marks, (K,) float32 bits in [0, log2 L]; 0 where there are none.

    >>> entropy(np.array([[1, 0, 3], [1, 0, 0]], "f4")).tolist()
    [1.0, 0.0, 0.0]
    """
    levels, size = marks.shape
    found = np.zeros(size, np.float32)
    scratch = np.empty((4, levels, min(_CHUNK, size)), np.float32)
    for start in range(0, size, _CHUNK):
        part = slice(start, min(start + _CHUNK, size))
        total, p, *work = found[part], *(each[:, : part.stop - start] for each in scratch)
        for row in marks[:, part]:
            total += row
        np.maximum(total, np.float32(2.0**-100), out=total)  # finite where there are no marks
        np.divide(np.float32(1), total, out=total)
        np.multiply(marks[:, part], total, out=p)
        total[:] = 0
        for row in _p_log2_p(p, *work):
            total -= row
    return np.clip(found, 0, np.float32(math.log2(levels)), out=found)


def _p_log2_p(p: Marks, log: Marks, t: Marks, exponent: Marks) -> Marks:
    """Return p log2 p of p in [0, 1], in `log`; 0 where p is below 2^-126. The others are scratch."""
    bits, fraction = p.view(np.int32), t.view(np.int32)
    np.right_shift(bits, _EXPONENT_BITS, out=fraction)
    np.copyto(exponent, fraction, casting="unsafe")
    exponent -= np.float32(_EXPONENT_BIAS)
    np.bitwise_and(bits, _MANTISSA, out=fraction)
    fraction |= _ONE
    t -= np.float32(1)
    np.multiply(t, _LOG2[-1], out=log)
    for coefficient in _LOG2[-2::-1]:
        log += coefficient
        log *= t
    log += exponent
    log *= p
    return log
