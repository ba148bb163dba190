"""The running maximum of a partition, against the rule applied row by row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.lateness import START_US, stamp


def _row_by_row(times: list[int], latest: int, jump: int | None) -> tuple[int, list[int], list[bool]]:
    behind, jumped = [], []
    for time_us in times:
        wild = jump is not None and latest > START_US and time_us > latest + jump
        jumped.append(wild)
        behind.append(0 if wild or latest == START_US else max(latest - time_us, 0))
        latest = latest if wild else max(latest, time_us)
    return latest, behind, jumped


@given(
    st.lists(st.integers(-50, 80), max_size=40) | st.lists(st.integers(0, 80), min_size=1020, max_size=1030),
    st.sampled_from([START_US, -10, 30]),
    st.sampled_from([None, 5, 40]),
    st.integers(0, 40),
)
def test_stamp_is_the_rule_row_by_row(times: list[int], latest: int, jump: int | None, lateness: int) -> None:
    """Running maximum, distance behind it and refused rows are those of a loop, also across the block size."""
    found = stamp(np.array(times, np.int64), running_max_us=latest, lateness_us=lateness, max_jump_us=jump)
    after, behind, jumped = _row_by_row(times, latest, jump)
    assert found.running_max_us == after
    assert (found.jumped.tolist() if found.jumped is not None else [False] * len(times)) == jumped
    if found.behind_us is None:
        assert max(behind, default=0) <= lateness
    else:
        assert found.behind_us.tolist() == behind


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30), st.integers(1, 7))
def test_framing_does_not_matter(times: list[int], size: int) -> None:
    """Stamping in pieces finds what stamping at once finds."""
    whole = stamp(np.array(times), running_max_us=START_US, lateness_us=-1, max_jump_us=20)
    latest, behind = START_US, []
    for first in range(0, len(times), size):
        part = np.array(times[first : first + size])
        found = stamp(part, running_max_us=latest, lateness_us=-1, max_jump_us=20)
        latest = found.running_max_us
        behind += found.behind_us.tolist()
    assert (latest, behind) == (whole.running_max_us, whole.behind_us.tolist())
