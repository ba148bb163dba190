"""Numbers as colours: a map whose lightness rises evenly, so that equal steps look equal, in grey and to the colour-blind.

The anchors are sixteen of the 256 colours of viridis (S. van der Walt and N. Smith, 2015, CC0).
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLOURS", "colours"]

_ANCHORS = (
    0x440154, 0x481A6C, 0x472F7D, 0x414487, 0x39568C, 0x31688E, 0x2A788E, 0x23888E,
    0x1F988B, 0x22A884, 0x35B779, 0x54C568, 0x7AD151, 0xA5DB36, 0xD2E21B, 0xFDE725,
)  # fmt: skip
_STEPS = 256


def _table() -> NDArray[np.uint8]:
    """Return the anchors and what lies between them in a straight line."""
    at = np.linspace(0, len(_ANCHORS) - 1, _STEPS)
    channels = [
        np.interp(at, np.arange(len(_ANCHORS)), [anchor >> shift & 0xFF for anchor in _ANCHORS])
        for shift in (16, 8, 0)
    ]
    table = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    table.setflags(write=False)
    return table


COLOURS = _table()
"""(256, 3) red, green and blue, from low to high. Read-only."""


def colours(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """Return the colour of every value: an array of the shape of `values` with three channels more.

    Parameters
    ----------
    values
        Any shape; what is beyond the range has the colour of its end, NaN that of the low one.
    low, high
        The range; where it is empty all values are low.

    Examples
    --------
    >>> colours(np.array([0.0, 5.0, 99.0]), 0.0, 10.0).tolist()
    [[68, 1, 84], [33, 144, 140], [253, 231, 37]]
    """
    if not high > low:
        return COLOURS[np.zeros(values.shape, np.intp)]
    share = (np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low) - low) / (high - low)
    return COLOURS[np.clip(share * _STEPS, 0, _STEPS - 1).astype(np.intp)]
