"""Scores of rows of features by a model, with a reason in words."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.backend import Backend, get_backend
from kernels.errors import ConfigError
from kernels.model_description import Feature
from kernels.onnx_model import Model, read_model

__all__ = ["Scorer", "in_digits"]

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
    """

    def __init__(self, model: Model, backend: Backend) -> None:
        self.model = model
        self.features = tuple(feature.name for feature in model.features)
        self.threshold = model.threshold
        self.sha256 = model.sha256
        self.role = model.role
        self._backend = backend

    @classmethod
    def load(cls, data: bytes, *, sha256: str | None = None, backend: Backend | str = "onnx-cpu") -> "Scorer":
        """Check a model and make it ready.

        Parameters
        ----------
        data
            The bytes of an ONNX file.
        sha256
            The hash it must have; None accepts any.
        backend
            What runs it, or its name in `kernels.backend.BACKENDS`.

        Raises
        ------
        ConfigError
            The model is refused (see `kernels.onnx_model`), or the backend cannot run here.
        """
        model = read_model(data, sha256=sha256)
        if model.role == "class":
            raise ConfigError(
                "the model tells classes apart, expected one that scores events or cells", _HINT
            )
        runner = get_backend(backend) if isinstance(backend, str) else backend
        _try(model, runner)
        return cls(model, runner)

    @property
    def provider(self) -> str:
        """What runs it: `numpy`, or the execution provider that ONNX Runtime got."""
        return self._backend.provider_of("predict")

    def with_threshold(self, threshold: float) -> "Scorer":
        """Return the same scorer with another threshold than the model's own."""
        if not math.isfinite(threshold):
            raise ConfigError(f"threshold is {threshold}, expected a finite number")
        return Scorer(self.model._replace(threshold=threshold), self._backend)

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
        return self._backend.predict(self.model, features)

    def score_columns(self, columns: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Score each row of F columns, (N,) each, null features NaN: as `score`, and on a GPU without a way back."""
        return self._backend.predict_columns(self.model, columns)

    def score_timed(self, columns: Sequence[NDArray[Any]], time_us: NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: ARG002
        """Score each row of F columns; (N,) event times are for a scorer whose paths change in time."""
        return self.score_columns(columns)

    def at(self, time_us: int) -> "Scorer":  # noqa: ARG002
        """Return what scores an event time: this, unless the model changes in time."""
        return self

    def hash_at(self, time_us: int) -> str:  # noqa: ARG002
        """Return the identity of the model that scores an event time."""
        return self.sha256

    def thresholds(self, time_us: NDArray[np.int64]) -> float | NDArray[np.float32]:  # noqa: ARG002
        """Return the threshold at each of (N,) event times; one number where it is the same for all."""
        return self.threshold

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


def _try(model: Model, backend: Backend) -> None:
    """Run a row through: shapes that do not fit each other may show only now."""
    try:
        backend.predict(model, np.zeros((1, len(model.features)), np.float32))
    except ConfigError:
        raise
    except Exception as error:  # numpy's and ONNX Runtime's have nothing in common
        raise ConfigError(f"the model does not run: {str(error).splitlines()[0]}", _HINT) from error


def in_digits(value: float) -> str:
    """Write a number for people: three digits, or all before the point.

    >>> in_digits(136_297.75), in_digits(0.00421), in_digits(-3.04)
    ('136,298', '0.00421', '-3.04')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _deviation(value: np.float32, feature: Feature) -> float:
    """Return how far a value lies from typical, 1 being rare; -1 if it is null."""
    return -1.0 if np.isnan(value) else abs(float(value) - feature.typical) / feature.rare
