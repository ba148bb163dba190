import numpy as np
import pytest

from kernels.backend import get_backend
from kernels.grid import Grid
from kernels.lateness import END_US, START_US
from operators.batch import Batch, Origin
from operators.level_bounds import CountLevels, LevelBounds, LevelMix
from operators.result import Result

GRID = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (4, 4, 1))


def look(levels: list[int], allowed: int, *, pieces: int = 1, restart: bool = False) -> list[Result]:
    """Count events of these levels in one cell, in so many batches; return what is found at the end."""
    bounds = LevelBounds(GRID, 4, 1_000, allowed, 0, 10_000)
    count, step = CountLevels(bounds, get_backend("numpy")), LevelMix(1, bounds)
    found: list[Result] = []
    for part in np.array_split(np.array(levels, np.uint8), pieces):
        zeros = np.zeros(len(part), np.float32)
        columns = {
            "time_us": np.full(len(part), 500),
            "x_m": zeros,
            "y_m": zeros,
            "z_m": zeros,
            "level": part,
        }
        batch = Batch(columns, Origin.nowhere("t", 0), START_US, 500)
        for _, told in count(batch):
            found += step.on_messages([told])
        if restart:
            step = LevelMix(1, bounds, step.snapshot())
    for _, told in count(Batch({}, Origin.nowhere("t", 0), 500, END_US)):
        found += step.on_messages([told])
    return found


def test_a_mix_of_more_levels_than_there_are_is_a_violation() -> None:
    """Four levels in equal parts have two bits; where there are three levels that cannot be."""
    (found,) = look([0, 1, 2, 3], 3)
    assert found.columns["value"][0] == pytest.approx(2.0, abs=1e-5)
    assert found.columns["bound"][0] == pytest.approx(np.log2(3))
    assert look([0, 1, 2, 3], 4) == []


def test_one_level_has_no_bits() -> None:
    """With one level allowed, a region of one level is as it should be."""
    assert look([2, 2, 2], 1) == []
    assert len(look([2, 2, 3], 1)) == 1


def test_batches_and_restarts_change_nothing() -> None:
    """The same violation, with the same id."""
    whole, cut = look([0, 1, 2, 3, 4], 2), look([0, 1, 2, 3, 4], 2, pieces=3, restart=True)
    assert [r.id for r in whole] == [r.id for r in cut]
    assert [r.columns["value"][0] for r in whole] == [r.columns["value"][0] for r in cut]
