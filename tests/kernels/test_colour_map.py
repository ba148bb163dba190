import numpy as np
import pytest

from kernels.colour_map import COLOURS, colours


def lightness(rgb: np.ndarray) -> np.ndarray:
    """CIE 1976 L* of sRGB colours."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


def test_equal_steps_look_equal() -> None:
    """Lightness rises from dark to light, by nearly the same everywhere: within 40 % of the mean over 16 colours."""
    found = lightness(COLOURS)
    assert (found[0], found[-1]) == (pytest.approx(15, abs=2), pytest.approx(91, abs=2))
    steps = np.diff(found[::17])
    assert steps == pytest.approx(np.full(15, steps.mean()), rel=0.4)


def test_ends_and_what_is_beyond_them() -> None:
    """The ends have the first and last colours, as has what lies beyond; NaN is low; an empty range is low."""
    found = colours(np.array([[-1.0, 0.0, np.nan], [2.0, 1.0, np.inf]]), 0.0, 1.0)
    assert found.shape == (2, 3, 3)
    assert (found[0] == COLOURS[0]).all()
    assert (found[1] == COLOURS[-1]).all()
    assert (colours(np.array([3.0]), 3.0, 3.0) == COLOURS[0]).all()
