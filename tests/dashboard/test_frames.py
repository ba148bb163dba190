"""Frames say what their columns are, and the columns come back."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.frames import Quantised, decode, encode, quantise
from kernels.errors import BadRecord

COLUMNS = st.lists(
    st.tuples(st.sampled_from(["u1", "u2", "u4", "i4", "i8", "f4"]), st.integers(0, 50)), max_size=6
)


@given(COLUMNS)
def test_columns_come_back(shapes: list[tuple[str, int]]) -> None:
    """What is encoded is decoded, whatever the types and lengths."""
    columns = {f"c{i}": np.arange(size).astype(code) for i, (code, size) in enumerate(shapes)}
    header, found = decode(encode("some", columns, {"window": "minute"}))
    assert (header["kind"], header["window"]) == ("some", "minute")
    assert {name: values.tolist() for name, values in found.items()} == {
        name: values.tolist() for name, values in columns.items()
    }


def test_layout() -> None:
    """The layout is the documented one: a length, JSON, and columns that begin at multiples of 8."""
    data = encode("x", {"a": np.array([1, 2, 3], "u1"), "b": np.array([7], "<u2")}, {})
    size = int.from_bytes(data[:4], "little")
    assert (4 + size) % 8 == 0
    assert [entry["name"] for entry in json.loads(data[4 : 4 + size])["columns"]] == ["a", "b"]
    assert data[4 + size :] == bytes([1, 2, 3, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0])


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.sampled_from([8, 16]))
def test_quantised(values: list[float], bits: int) -> None:
    """A quantised value is off by half a step at most."""
    found = quantise(np.array(values), -5.0, 5.0, bits)
    assert np.abs(found.offset + found.scale * found.values - values).max() <= found.scale / 2 + 1e-9


def test_not_finite() -> None:
    """What is not finite becomes 0, quietly."""
    assert quantise(np.array([np.nan, np.inf, -np.inf]), 0.0, 1.0).values.tolist() == [0, 65535, 0]


def test_cut_short() -> None:
    """A frame that is cut short is refused at every byte."""
    data = encode("x", {"a": Quantised(np.array([1, 2], "u2"), 0.0, 0.5)}, {})
    for size in range(len(data) - 7):  # the last column is padded by four bytes
        with pytest.raises(BadRecord):
            decode(data[: min(size, len(data) - 8)])
