import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.level_mix import LevelMix, entropy, log2

CELLS, LEVELS = 5, 3
MARKS = st.lists(
    st.dictionaries(st.integers(0, CELLS * LEVELS - 1), st.integers(1, 1000), max_size=6), max_size=60
)


def bits_of(weights: list[float]) -> float:
    """The entropy of weights, term by term."""
    total = sum(weights)
    return -sum(w / total * math.log2(w / total) for w in weights if w > 0) if total else 0.0


@given(
    st.lists(
        st.lists(st.floats(0, 1e6, width=32, allow_subnormal=False), min_size=LEVELS, max_size=LEVELS),
        max_size=9,
    )
)
def test_entropy_is_that_of_the_shares(columns: list[list[float]]) -> None:
    """To 5e-6 bits, between 0 and the logarithm of the number of levels, and 0 for a single level."""
    marks = np.array(columns, np.float32).reshape(-1, LEVELS).T.copy()
    found = entropy(marks, log2(marks))
    assert found.dtype == np.float32
    assert found == pytest.approx([bits_of(c) for c in marks.T.tolist()], abs=5e-6)
    assert all(0 <= b <= math.log2(LEVELS) + 1e-7 for b in found.tolist())
    alone = np.array([[7], [0], [0]], np.float32)
    assert entropy(alone, log2(alone)).tolist() == [0.0]


@given(MARKS, st.floats(0.01, 3.0), st.integers(0, 60))
def test_older_marks_count_less(steps: list[dict[int, int]], step_s: float, cut: int) -> None:
    """The mix is that of marks weighted by exp(-age / memory), cells without new marks keep theirs, also after a restart."""
    mix = LevelMix(CELLS, LEVELS, memory_s=1.0, step_s=step_s, entropy=entropy)
    weights = np.zeros((LEVELS, CELLS))
    for number, marks in enumerate(steps):
        if number == cut:
            state = mix.snapshot()
            mix = LevelMix(CELLS, LEVELS, memory_s=1.0, step_s=step_s, entropy=entropy)
            mix.restore(state)
        keys = sorted(marks)
        mix.step(np.array(keys, np.int64), np.array([marks[k] for k in keys], np.int64))
        weights *= math.exp(-step_s)
        for key, count in marks.items():
            weights[key // CELLS, key % CELLS] += count
    for cell in range(CELLS):
        if weights[:, cell].sum() > 1e-12:  # fainter ones may be taken for none
            assert mix.bits[cell] == pytest.approx(bits_of(weights[:, cell].tolist()), abs=2e-4)
