"""The heading of a velocity."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.simulate_heading import heading

COMPONENT = st.floats(-1e4, 1e4, width=32)


def _heading(east: NDArray[np.float32], north: NDArray[np.float32]) -> NDArray[np.float32]:
    out = np.empty_like(east)
    heading(east, north, out=out, work=np.empty((3, len(east)), np.float32))
    return out


@given(st.lists(st.tuples(COMPONENT, COMPONENT), min_size=1, max_size=50))
def test_heading_is_the_arc_tangent(velocities: list[tuple[float, float]]) -> None:
    """The heading is atan2(east, north) within 2e-5 rad around the circle, and lies in [0, 2 pi)."""
    east, north = np.array(velocities, np.float32).T.copy()
    moving = np.maximum(np.abs(east), np.abs(north)) > 1e-20
    got = _heading(east, north).astype(np.float64)
    assert (got >= 0).all()
    assert (got < 2 * np.pi).all()
    error = got - np.arctan2(east.astype(np.float64), north.astype(np.float64))
    assert np.abs(np.sin(error / 2))[moving].max(initial=0) < 1e-5


def test_headings_of_the_compass() -> None:
    """North is 0, east pi/2, south pi, west 3 pi/2; no velocity has the heading 0."""
    east, north = np.array([[0, 1, 0, -1, 0], [1, 0, -1, 0, 0]], np.float32)
    expected = [0, np.pi / 2, np.pi, 3 * np.pi / 2, 0]
    np.testing.assert_allclose(_heading(east, north), expected, atol=2e-5)
