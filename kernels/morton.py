"""Morton (Z-order) codes: three cell coordinates interleaved into one integer, so near cells get near codes.

Bit i of cx, cy, cz becomes bit 3 i + 2, 3 i + 1, 3 i of the code; 21 bits an axis fill 63 bits.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["AXIS_BITS", "decode", "encode"]

AXIS_BITS = 21

# (shift, mask): each step moves the upper half of every group of bits away, until two gaps follow each bit.
_STEPS = tuple(
    (np.uint64(shift), np.uint64(mask))
    for shift, mask in (
        (32, 0x001F00000000FFFF),
        (16, 0x001F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    )
)
_AXIS_MASK = np.uint64((1 << AXIS_BITS) - 1)


def encode(cx: NDArray[np.int32], cy: NDArray[np.int32], cz: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Interleave the bits of three coordinates.

    Parameters
    ----------
    cx, cy, cz
        (C,) coordinates, each in [0, 2**21).

    Returns
    -------
    (C,) uint64 codes below 2**63; distinct cells have distinct codes.

    Examples
    --------
    >>> encode(np.array([1, 0], "i4"), np.array([0, 1], "i4"), np.array([0, 1], "i4")).tolist()
    [4, 3]
    """
    code = _spread(cx) << np.uint64(2)
    code |= _spread(cy) << np.uint64(1)
    code |= _spread(cz)
    return code


def decode(codes: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Split codes into the coordinates that `encode` took.

    Examples
    --------
    >>> [axis.tolist() for axis in decode(np.array([4, 3], "u8"))]
    [[1, 0], [0, 1], [0, 1]]
    """
    return _gather(codes >> np.uint64(2)), _gather(codes >> np.uint64(1)), _gather(codes)


def _spread(coordinate: NDArray[np.int32]) -> NDArray[np.uint64]:
    bits = coordinate.astype(np.uint64) & _AXIS_MASK
    for shift, mask in _STEPS:
        bits |= bits << shift
        bits &= mask
    return bits


def _gather(bits: NDArray[np.uint64]) -> NDArray[np.int32]:
    bits = bits & _STEPS[-1][1]
    masks = [mask for _, mask in _STEPS[-2::-1]] + [_AXIS_MASK]
    for (shift, _), mask in zip(reversed(_STEPS), masks, strict=True):
        bits |= bits >> shift
        bits &= mask
    return bits.astype(np.int32)
