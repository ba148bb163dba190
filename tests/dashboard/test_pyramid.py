"""The newest step of each level of the hierarchy, against a plain loop over everything that was said."""

import math

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from views import levels

from dashboard.pyramid import Pyramid

SAID = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 4), st.integers(0, 3), st.integers(1, 9), st.integers(-1, 1)), max_size=40,
    unique_by=lambda row: row[:3],
)  # fmt: skip


@given(SAID, st.integers(1, 5))
def test_newest_step_of_each_level(said: list[tuple[int, int, int, int, int]], cuts: int) -> None:
    """However the rows come in tables, of each level the regions, agents, state and directives of its last step count."""
    pyramid = Pyramid()
    for part in (said[k::cuts] for k in range(cuts)):
        for kind, table in levels(part).items():
            pyramid.take(kind, table)
    for level, found in enumerate(pyramid.levels()):
        mine = [row for row in said if row[0] == level]
        last = [row for row in mine if row[1] == max(row[1] for row in mine)]
        assert (found is None) == (not last)
        if found is None:
            continue
        assert (found["time_us"], found["regions"]) == (last[0][1] * 1_000_000, len(last))
        assert found["agents"] == sum(row[3] for row in last)
        up, down = (sum(row[4] == way and 0 <= level + way <= 6 for row in last) for way in (1, -1))
        assert (found["up"], found["down"]) == (up, down)
        speed, weight = found["metrics"]["speed_mps"], sum(row[3] for row in last)
        assert math.isclose(speed["state"], sum(row[3] * row[2] for row in last) / weight, abs_tol=1e-9)
        assert math.isclose(speed["gap"], 1.0)


def test_said_again() -> None:
    """What a region says again of a step takes the place of what it said before."""
    pyramid = Pyramid()
    for agents in (3, 5):
        pyramid.take("levels", levels([(2, 1, 0, agents, 0)])["levels"])
    assert pyramid.levels()[2]["agents"] == 5


def test_no_values() -> None:
    """A metric without values in a step has no state, and that is no number of JSON's."""
    table = levels([(1, 1, 0, 2, 0)])["levels"]
    at = table.column_names.index("speed_mps_mean")
    pyramid = Pyramid()
    pyramid.take("levels", table.set_column(at, "speed_mps_mean", pa.array([math.nan])))
    assert pyramid.levels()[1]["metrics"]["speed_mps"] == {"mean": None, "state": None, "gap": None}
