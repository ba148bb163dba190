"""An autoencoder that scores how far a row of features lies from what it can reproduce, trained and written as ONNX.

    z     = (features - typical) / spread           null -> 0, clipped to +-1e4
    copy  = network(clip(z, +-6))                   bounded, so that an outlier cannot be reproduced
    worst = max over features of |z - copy| / limit
    score = worst / (1 + worst)                     0 to 1; an alert above 0.5

`limit` is the feature's residual that one training row in 2,000 exceeds, times one factor for all features, with which
one training row in 1,000 scores above 0.5. The graph works on columns of N events: [F, N] runs at a third of the time
of [N, F], whose rows of 13 are too short for the vector loops of ONNX Runtime (84 and 122 ns an event).
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

from models.features import Input

__all__ = ["ALERTS_PER_1000", "Autoencoder", "THRESHOLD", "to_onnx", "train"]

THRESHOLD = 0.5
ALERTS_PER_1000 = 1.0  # of training rows: what a person can look at, an alert a minute at 1,000 events a minute
_LIMIT_QUANTILE = 1 - 1 / 2000
_BOUND = 6.0  # spreads: the range that the network learns, 99.5 % of all values
_FAR = 1e4  # spreads: keeps the arithmetic finite
_OPSET, _IR = 18, 9


class Autoencoder(NamedTuple):
    """A trained model.

    Attributes
    ----------
    typical, spread, limit
        (F,) float32, see the module.
    layers
        Weights (inputs, outputs) and biases (outputs,) of each layer; all but the last are followed by a Relu.
    """

    typical: NDArray[np.float32]
    spread: NDArray[np.float32]
    limit: NDArray[np.float32]
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]


def train(
    rows: NDArray[np.float32], inputs: Sequence[Input], *, hidden: Sequence[int], epochs: int, seed: int = 0
) -> Autoencoder:
    """Train on (N, F) rows, null values NaN; the same rows give the same bits on one machine."""
    low, typical, high = np.nanpercentile(rows, [1, 50, 99], axis=0)
    spread = np.maximum((high - low) / 4, [i.least_spread for i in inputs])
    typical, spread = typical.astype(np.float32), spread.astype(np.float32)
    z = np.nan_to_num((rows - typical) / spread, nan=0.0, posinf=_FAR, neginf=-_FAR).clip(-_FAR, _FAR)
    bounded = z.clip(-_BOUND, _BOUND)
    network = MLPRegressor(
        tuple_ if (tuple_ := tuple(hidden)) else (), max_iter=epochs, batch_size=512, random_state=seed
    )
    return network, typical, spread, z, bounded
