"""Adding to standing blocks, against reducing a batch and merging."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from limbs import normalise

from kernels.accumulate import accumulate
from kernels.aggregate import Layout, merge, reduce
from kernels.metric import Metric

LAYOUT = Layout(
    (Metric("speed_mps", 0.01, -300.0, 300.0), Metric("energy", 1.0, -8e6, 8e6)), (True, True), (False, True)
)
GROUPS = 4
BATCHES = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, GROUPS - 1),
            st.floats(-300, 300, width=32) | st.just(math.nan),
            st.floats(-8e6, 8e6, width=32) | st.sampled_from([math.nan, -0.0]),
        )
    ),
    max_size=4,
)


@given(BATCHES)
def test_equals_reduce_and_merge(batches: list[list[tuple[int, float, float]]]) -> None:
    """Batches added in place are the same bits as batches reduced and merged, once the limbs are normalised."""
    ints, floats = LAYOUT.empty(GROUPS)
    expected = LAYOUT.empty(GROUPS)
    for batch in batches:
        index = np.array([group for group, *_ in batch], np.int32)
        values = [np.array([event[1 + m] for event in batch], np.float32) for m in range(2)]
        accumulate(ints, floats, index, values, LAYOUT)
        merge(*expected, slice(None), *reduce(index, GROUPS, values, LAYOUT))
    normalise(ints, LAYOUT)
    normalise(expected[0], LAYOUT)
    assert ints.tobytes() == expected[0].tobytes()
    assert floats.tobytes() == expected[1].tobytes()
