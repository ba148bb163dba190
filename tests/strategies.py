"""Hypothesis strategies for events: canonical columns, and the ways to cut them into batches."""

import string
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from kernels.schema import CANONICAL, MAX_LEVEL, POSITION, REQUIRED, Columns, column_dtype

__all__ = ["columns", "cuts", "texts"]

FURTHER = ("speed_mps", "climb_mps")


def texts() -> st.SearchStrategy[str]:
    """Text ids: few different ones, so that agents repeat, and any Unicode now and then."""
    return st.text(string.ascii_lowercase, min_size=1, max_size=2) | st.text(min_size=1, max_size=20)


@st.composite
def columns(
    draw: st.DrawFn,
    *,
    min_events: int = 0,
    max_events: int = 40,
    further: Sequence[str] = FURTHER,
    wild: bool = False,
) -> Columns:
    """Canonical columns: the required ones and any choice of the others, each with the schema's type.

    Agents repeat, positions are finite, levels exist and metrics may be NaN; with `wild` any bits may be anywhere.
    """
    n = draw(st.integers(min_events, max_events))
    optional = [name for name in (*CANONICAL, *further) if name not in REQUIRED]
    names = [*REQUIRED, *draw(st.lists(st.sampled_from(optional), unique=True))]
    return {name: draw(_values(name, n, wild=wild)) for name in names}


def _values(name: str, n: int, *, wild: bool) -> st.SearchStrategy[NDArray[Any]]:
    dtype = column_dtype(name)
    if wild:
        return st.binary(min_size=n * dtype.itemsize, max_size=n * dtype.itemsize).map(
            lambda bits: np.frombuffer(bits, dtype)
        )
    return arrays(dtype, n, elements=_elements(name))


def _elements(name: str) -> st.SearchStrategy[Any]:
    match name:
        case "agent_id" | "cause_agent":
            return st.integers(0, 20) | st.integers(0, 2**64 - 1)
        case "time_us":
            return st.integers(-(10**6), 10**8)
        case "seq" | "cause_seq":
            return st.integers(0, 2**32 - 1)
        case "level":
            return st.integers(0, MAX_LEVEL)
        case _ if name in POSITION:
            return st.floats(-(2.0**20), 2.0**20, width=32)
        case _:
            return st.floats(-(2.0**20), 2.0**20, width=32) | st.just(float("nan"))


def cuts(n: int) -> st.SearchStrategy[list[slice]]:
    """The ways to cut `n` events into consecutive batches, empty ones among them."""
    points = st.lists(st.integers(0, n), max_size=8).map(lambda inner: [0, *sorted(inner), n])
    return points.map(lambda at: [slice(a, b) for a, b in pairwise(at)])
