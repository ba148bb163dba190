"""Scores of rows of features by a model, on numpy or ONNX Runtime, with a reason in words.

Rows go through a model in blocks of one fixed size, the last one filled up: a matrix product of another shape may take
another path through the library and round differently, so a score would depend on how events were batched.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError
from kernels.onnx_model import Feature, Model, read_model
from kernels.onnx_numpy import run_model
from kernels.onnx_session import PROVIDERS, open_session

__all__ = ["Backend", "Scorer", "in_digits"]

Backend = Literal["numpy", "onnx-cpu", "onnx-cuda"]
"""What runs a model."""

_Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

# Whole tiles of every matrix kernel (4, 6, 12, 16, 24, 48 rows); a block of it stays in a core's second cache.
_BLOCK = 1536
_HINT = "Make it as models/autoencoder.py does"


class Scorer:
    """A checked model on a backend; make one with `Scorer.load`.

    Attributes
    ----------
    features
        Names of the F inputs, in order.
    threshold
        Higher scores are alerts.
    sha256
        The model's identity.
    role
        What it scores: `event` or `cell`.
    provider
        What runs it: `numpy`, or the execution provider that ONNX Runtime got.
    """

    def __init__(self, model: Model, run: _Run, provider: str) -> None:
        self.model = model
        self.features = tuple(feature.name for feature in model.features)
        self.threshold = model.threshold
        self.sha256 = model.sha256
        self.role = model.role
        self.provider = provider
        self._run = run

    @classmethod
    def load(cls, data: bytes, *, sha256: str | None = None, backend: Backend = "onnx-cpu") -> "Scorer":
        """Check a model and make it ready.

        Parameters
        ----------
        data
            The bytes of an ONNX file.
        sha256
            The hash it must have; None accepts any.
        backend
            What runs it.

        Raises
        ------
        ConfigError
            The model is refused (see `kernels.onnx_model`), or the backend cannot run here.
        """
        model = read_model(data, sha256=sha256)
        if backend == "numpy":
            return cls(model, _tried(lambda block: run_model(model, block), model), "numpy")
        if backend not in PROVIDERS:
            raise ConfigError(f"backend is {backend!r}, expected numpy, {', '.join(PROVIDERS)}")
        session = open_session(data, backend)
        run = _tried(lambda block: session.run(["score"], {"features": block})[0], model)
        return cls(model, run, session.get_providers()[0])

    def with_threshold(self, threshold: float) -> "Scorer":
        """Return the same scorer with another threshold than the model's own."""
        if not math.isfinite(threshold):
            raise ConfigError(f"threshold is {threshold}, expected a finite number")
        return Scorer(self.model._replace(threshold=threshold), self._run, self.provider)

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score each row by itself.

        Parameters
        ----------
        features
            (N, F), null features NaN.

        Returns
        -------
        NDArray[np.float32]
            (N,): the same bits for a row whatever rows it comes with.
        """
        if features.ndim != 2 or features.shape[1] != len(self.features) or features.dtype != np.float32:
            got = f"{features.dtype} {list(features.shape)}"
            raise ConfigError(f"the model takes float32 [N, {len(self.features)}], got {got}")
        scores = np.empty(len(features), np.float32)
        whole = len(features) - len(features) % _BLOCK
        for start in range(0, whole, _BLOCK):
            scores[start : start + _BLOCK] = self._run(features[start : start + _BLOCK])
        if whole < len(features):
            block = np.zeros((_BLOCK, len(self.features)), np.float32)
            block[: len(features) - whole] = features[whole:]
            scores[whole:] = self._run(block)[: len(features) - whole]
        return scores

    def explain(self, row: NDArray[np.float32]) -> str:
        """Say in words what stands out in one row of features, shape (F,): at most two that are rarely so far off."""
        deviation = np.array(
            [_deviation(value, f) for value, f in zip(row, self.model.features, strict=True)]
        )
        first, *rest = np.argsort(-deviation, kind="stable")[:2].tolist()
        if deviation[first] < 0:
            return "nothing is known of it: every feature is null"
        if deviation[first] <= 1:
            return f"an unusual combination of usual values, first of all {self._words(row, first)}"
        named = [first, *(i for i in rest if deviation[i] > 1)]
        return "; ".join(self._words(row, i) for i in named)

    def _words(self, row: NDArray[np.float32], index: int) -> str:
        feature = self.model.features[index]
        unit = f" {feature.unit}" if feature.unit else ""
        typical = f"typically {in_digits(feature.typical)} ± {in_digits(feature.spread)}"
        return f"{feature.words} is {in_digits(float(row[index]))}{unit} ({typical})"


def _tried(run: _Run, model: Model) -> _Run:
    """Return `run` if it runs: shapes that do not fit each other may show only now."""
    try:
        scores = run(np.zeros((_BLOCK, len(model.features)), np.float32))
    except Exception as error:  # those of ONNX Runtime share no base class of their own
        raise ConfigError(f"the model does not run: {str(error).splitlines()[0]}", _HINT) from error
    if scores.shape != (_BLOCK,) or scores.dtype != np.float32:
        got = f"{scores.dtype} {list(scores.shape)}"
        raise ConfigError(f"the model gives {got} for {_BLOCK} events, expected float32 [{_BLOCK}]", _HINT)
    return run


def in_digits(value: float) -> str:
    """Write a number for people: three digits, or all before the point.

    >>> in_digits(136_297.75), in_digits(0.00421), in_digits(-3.04)
    ('136,298', '0.00421', '-3.04')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _deviation(value: np.float32, feature: Feature) -> float:
    """Return how far a value lies from typical, 1 being rare; -1 if it is null."""
    return -1.0 if np.isnan(value) else abs(float(value) - feature.typical) / feature.rare
