import math
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reference import agree

from kernels.backend import Backend, get_backend
from kernels.consensus import Ballot, Consensus, consensus, merge
from kernels.metric import Metric

NUMPY, ONNX = get_backend("numpy"), get_backend("onnx-cpu")
HEADING = Metric("heading", 0.25, -100.0, 100.0)
GROUPS, OPTIONS = 4, 3
AGENTS = st.lists(
    st.tuples(
        st.integers(0, GROUPS - 1),
        st.floats(-100, 100, width=32) | st.sampled_from([math.nan, -0.0, 0.125]),
        st.integers(-1, OPTIONS - 1),
    ),
    max_size=40,
)

Agents = list[tuple[int, float, int]]


def ballot(agents: Agents) -> Ballot:
    """What the agents say."""
    group, values, votes = zip(*agents, strict=True) if agents else ((), (), ())
    return Ballot(
        np.array(group, np.int32), GROUPS, np.array(values, "f4"), np.array(votes, np.int32), OPTIONS
    )


def assert_same(found: Consensus, expected: Consensus) -> None:
    """Type, shape and every bit are the same."""
    for name, wanted in vars(expected).items():
        got = getattr(found, name)
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), name
        assert got.tobytes() == wanted.tobytes(), name


@pytest.mark.parametrize("backend", [NUMPY, ONNX], ids=["numpy", "onnx"])
@given(AGENTS)
@example([])
@example([(0, math.nan, -1)])
@example([(1, 0.125, 2), (1, 0.375, 0)])
def test_means_and_majorities_are_those_of_a_loop(backend: Backend, agents: Agents) -> None:
    """Each group has the mean of its agents' values in steps, and the first of the options with most votes."""
    found = backend.consensus(ballot(agents), HEADING)
    means = found.mean(HEADING).tolist()
    for group, (mean, choice, support) in enumerate(agree(agents, GROUPS, HEADING)):
        assert (found.choice[group], found.support[group]) == (choice, support)
        assert math.isnan(means[group]) if mean is None else Fraction(means[group]) == mean


@given(AGENTS)
@example([])
def test_backends_agree(agents: Agents) -> None:
    """Numpy and ONNX Runtime give the same bits."""
    assert_same(ONNX.consensus(ballot(agents), HEADING), NUMPY.consensus(ballot(agents), HEADING))


@given(AGENTS, st.randoms(), st.integers(1, 4))
def test_parts_add_up_in_any_order(agents: Agents, random: Random, parts: int) -> None:
    """Agents counted in parts, in any order, agree on what they agree on together."""
    shuffled = random.sample(agents, len(agents))
    counted = [consensus(ballot(shuffled[part::parts]), HEADING) for part in range(parts)]
    assert_same(merge(counted), consensus(ballot(agents), HEADING))


def test_a_thousand_agents_agree_alike_on_both_sides() -> None:
    """1,000 agents in 70 groups come to the same consensus on both backends, and every vote is counted."""
    rng = np.random.default_rng(0)
    said = Ballot(
        rng.integers(0, 70, 1000), 70, rng.uniform(-100, 100, 1000).astype("f4"), rng.integers(0, 5, 1000), 5
    )
    found = NUMPY.consensus(said, HEADING)
    assert found.votes.sum() == found.n.sum() == 1000
    assert_same(ONNX.consensus(said, HEADING), found)


@pytest.mark.parametrize("backend", [NUMPY, ONNX], ids=["numpy", "onnx"])
@pytest.mark.parametrize(
    ("group", "votes", "options", "message"),
    [
        ([0, 4], [0, 0], 3, "groups from 0 to 3, got 0 to 4"),
        ([-1, 0], [0, 0], 3, "groups from 0 to 3, got -1 to 0"),
        ([0, 0], [0, 3], 3, "votes up to 2, got 3"),
        ([0], [0, 0], 3, "got 1, 2 and 2"),
        ([0, 0], [-1, -1], 0, "expected options"),
    ],
)
def test_what_is_out_of_range_is_refused(
    backend: Backend, group: list[int], votes: list[int], options: int, message: str
) -> None:
    """A group or vote that there is not is an error with the value and the limit, the same from both backends."""
    said = Ballot(np.array(group), GROUPS, np.zeros(2, "f4"), np.array(votes), options)
    with pytest.raises((ValueError, IndexError), match=message):
        backend.consensus(said, HEADING)
