"""What a model file says of itself in its metadata (`aura.*`): its role, its features, its threshold."""

import json
import math
from typing import Any, NamedTuple

import onnx

from kernels.errors import ConfigError

__all__ = ["REMAKE", "Feature", "broken", "described"]

REMAKE = "Make it as models/autoencoder.py does"


class Feature(NamedTuple):
    """One input of a model, and what it usually is.

    Attributes
    ----------
    name
        The column.
    words, unit
        For people.
    typical, spread, rare
        Centre and scale in the training data, and how far from the centre one in 1,000 of its rows lies.
    """

    name: str
    words: str
    unit: str
    typical: float
    spread: float
    rare: float


def described(proto: onnx.ModelProto) -> dict[str, Any]:
    """Return what the metadata says, by the names of `kernels.onnx_model.Model`.

    Raises
    ------
    ConfigError
        Something is missing, or is not what it should be.
    """
    said = {entry.key.removeprefix("aura."): entry.value for entry in proto.metadata_props}
    missing = {"role", "version", "features", "threshold", "training"} - said.keys()
    if missing:
        raise broken(f"no metadata for {sorted('aura.' + name for name in missing)}", "all of it")
    if said["role"] not in ("event", "cell", "class"):
        raise broken(f"aura.role {said['role']!r}", "'event', 'cell' or 'class'")
    try:
        features = tuple(Feature(**entry) for entry in json.loads(said["features"]))
        numbers = [float(said["threshold"]), *(float(value) for feature in features for value in feature[3:])]
    except (ValueError, TypeError) as error:
        raise broken(f"metadata that cannot be read ({error})", "what `Model` describes") from error
    if not all(map(math.isfinite, numbers)) or any(min(f.spread, f.rare) <= 0 for f in features):
        raise broken("a number in its metadata that is none, or a spread of 0", "finite ones above 0")
    if len({feature.name for feature in features}) != len(features) or not features:
        raise broken("aura.features empty or with a name twice", "each name once")
    named = {name: said[name] for name in ("role", "version", "training")}
    return {**named, "features": features, "threshold": numbers[0]}


def broken(got: str, expected: str) -> ConfigError:
    """Return the error of a model that breaks a rule: what it has, and what was expected."""
    return ConfigError(f"the model has {got}, expected {expected}", REMAKE)
