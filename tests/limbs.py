"""Sums of squares in two limbs, made comparable."""

from kernels.aggregate import Ints, Layout
from kernels.statistics import split_limbs

__all__ = ["normalise"]


def normalise(ints: Ints, layout: Layout) -> None:
    """Carry the low limbs of the sums of squares into the high ones, in place: then 0 <= lo < 2**32."""
    for m, square in enumerate(layout.square):
        if square:
            lo, hi = ints[layout.lo(m)], ints[layout.hi(m)]
            lo[:], carry = split_limbs(lo)
            hi += carry
