"""The information: the entropy of the mix of levels among the marks in a cell, in bits.

    H = sum over levels of m / T (log2 T - log2 m)         T the sum of a cell's marks m; exactly 0 for one level alone

Marks fade with exp(-t / memory). Entropy does not ask for their scale, so instead of fading all old marks a step makes
new ones heavier (forward decay: Cormode et al., "Forward Decay", ICDE 2009): only the logarithms of new marks, and only
the cells with new marks, are computed again. From time to time all marks are scaled down by a power of two, which
changes no bit of them but takes the faintest away.

The logarithm is made of + - * / on float32 and its bits alone, so every CPU gives the same; it is off by 2e-6 at most
and half a unit in the last place of its exponent's digits.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LevelMix", "entropy", "log2"]

Marks = NDArray[np.float32]

_CHUNK = 32_768  # values: three temporaries of it take 384 KiB
_RESCALE = (
    2.0**16
)  # below it a logarithm keeps six digits behind the point; with memories of seconds, some times a minute
_FAINTEST = np.float32(2.0**-64)  # far above what float32 holds slowly
_LEAST_TOTAL = np.float32(2.0**-126)  # of normal numbers
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
        entropy: Callable[[Marks, Marks], NDArray[np.float32]],
    ) -> None:
        self._entropy = entropy
        self._growth = math.exp(step_s / memory_s)
        self._weight = 1.0
        self._marks: Marks = np.zeros((levels, cells), np.float32)
        self._logs: Marks = log2(self._marks)
        self.bits: NDArray[np.float32] = np.zeros(cells, np.float32)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._marks.nbytes + self._logs.nbytes + self.bits.nbytes

    def step(self, mark: NDArray[np.int64], count: NDArray[np.int64]) -> None:
        """Add a step's marks: (M,) distinct level * C + cell, rising, and how many of each there are."""
        self._weight *= self._growth
        cells = self._marks.shape[1]
        marks, logs = self._marks.reshape(-1), self._logs.reshape(-1)
        heavier = count.astype(np.float32)
        heavier *= np.float32(self._weight)
        heavier += marks.take(mark)
        marks[mark] = heavier
        logs[mark] = log2(heavier)
        if self._weight >= _RESCALE:
            self._rescale()
        elif len(mark) * _DENSE < cells:
            touched = np.unique(mark % cells)
            own = self._marks.take(touched, axis=1), self._logs.take(touched, axis=1)
            self.bits[touched] = self._entropy(*own)
            return
        self.bits[:] = self._entropy(self._marks, self._logs)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data: the cells with marks alone."""
        cells = np.flatnonzero(self._marks.any(axis=0))
        return {"weight": self._weight, "cells": cells, "marks": self._marks[:, cells]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state that `snapshot` returned."""
        self._weight = state["weight"]
        self._marks[:] = 0
        self._marks[:, state["cells"]] = state["marks"]
        self._logs = log2(self._marks)
        self.bits[:] = self._entropy(self._marks, self._logs)

    def _rescale(self) -> None:
        while self._weight >= _RESCALE:
            self._weight /= _RESCALE
            self._marks *= np.float32(1 / _RESCALE)
            self._marks[self._marks < _FAINTEST] = 0
        self._logs = log2(self._marks)


def entropy(marks: Marks, logs: Marks) -> NDArray[np.float32]:
    """Return the entropy of each column of (L, K) marks, (K,) float32 bits in [0, log2 L]; 0 where there are none.

    Parameters
    ----------
    marks
        (L, K), each 0, or 2^-126 or more.
    logs
        (L, K) their logarithms, `log2(marks)`.

    Examples
    --------
    >>> marks = np.array([[1, 0, 3], [1, 0, 0]], "f4")
    >>> entropy(marks, log2(marks)).tolist()
    [1.0, 0.0, 0.0]
    """
    levels, size = marks.shape
    found = np.zeros(size, np.float32)
    scratch = np.empty((2, min(_CHUNK, size)), np.float32)
    for start in range(0, size, _CHUNK):
        part = slice(start, min(start + _CHUNK, size))
        bits, (total, term) = found[part], scratch[:, : part.stop - part.start]
        total[:] = 0
        for row in marks[:, part]:
            total += row
        np.maximum(total, _LEAST_TOTAL, out=total)  # finite where there are no marks
        log = log2(total)
        for row, row_log in zip(marks[:, part], logs[:, part], strict=True):
            np.subtract(log, row_log, out=term)
            term *= row
            bits += term
        bits /= total
    return np.clip(found, 0, np.float32(math.log2(levels)), out=found)


def log2(values: Marks) -> Marks:
    """Return the logarithm of float32 values in [2^-126, 2^128), of any shape; some finite number for 0.

    >>> log2(np.array([1, 8, 0.5], "f4")).tolist()
    [0.0, 3.0, -1.0]
    """
    found = np.empty(values.shape, np.float32)
    bits, logs = np.ascontiguousarray(values).reshape(-1).view(np.int32), found.reshape(-1)
    scratch = np.empty((2, min(_CHUNK, len(bits))), np.float32)
    for start in range(0, len(bits), _CHUNK):
        part = slice(start, min(start + _CHUNK, len(bits)))
        _log2(bits[part], logs[part], *scratch[:, : part.stop - part.start])
    return found


def _log2(bits: NDArray[np.int32], log: Marks, t: Marks, exponent: Marks) -> None:
    """Put the logarithm of the floats with these bits into `log`; the others are scratch."""
    fraction = t.view(np.int32)
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
