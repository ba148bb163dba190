"""Panes and windows, against enumeration."""

from hypothesis import given
from hypothesis import strategies as st

from kernels.panes import Window, base_pane_us


@given(st.integers(1, 40), st.integers(1, 40), st.integers(-30, 30))
def test_windows_of_a_pane(length: int, slide: int, pane: int) -> None:
    """The windows that contain a pane are those that cover its start, and each has the pane among its panes."""
    window = Window("w", max(length, slide), min(length, slide), lateness_us=0)
    time_us = pane * window.pane_us
    covering = [
        k * window.slide_us
        for k in range(-200, 200)
        if k * window.slide_us <= time_us < k * window.slide_us + window.length_us
    ]
    assert list(window.starts(pane)) == covering
    assert all(pane in window.panes(start) for start in covering)


def test_base_pane_divides_all() -> None:
    """The panes of windows that share partials are whole numbers of the base pane."""
    assert base_pane_us([Window("a", 10, 10, 0), Window("b", 15, 5, 0), Window("c", 8, 4, 0)]) == 1
