from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.deposits import Deposits, gather, merge
from kernels.lattice import BOUNDARIES, Boundary, Lattice

SHAPE = (3, 2, 4)
AGENTS = st.lists(
    st.tuples(*(st.floats(0, n, width=32) for n in SHAPE), st.integers(0, 6), st.integers(0, 30)),
    max_size=40,
)
Agents = list[tuple[float, float, float, int, int]]


def lattice_of(boundary: Boundary) -> Lattice:
    """A small one, with cells of 1 m."""
    return Lattice((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), SHAPE, boundary)


def gathered(agents: Agents, lattice: Lattice, steps: int = 31) -> Deposits:
    """What the agents leave."""
    columns = list(zip(*agents, strict=True)) or [[]] * 5
    x, y, z = (np.array(c, np.float32) for c in columns[:3])
    return gather(
        lattice,
        x,
        y,
        z,
        level=np.array(columns[3], np.uint8),
        step=np.array(columns[4], np.int64),
        steps=steps,
    )


def image(k: int, n: int, boundary: Boundary) -> int | None:
    """The node on an axis that a node (-1 to n) stands for."""
    if 0 <= k < n:
        return k
    if boundary == "absorbing":
        return None
    return k % n if boundary == "periodic" else min(max(k, 0), n - 1)


def expected(agents: Agents, lattice: Lattice) -> tuple[Counter, Counter]:
    """One agent and one of its eight nodes at a time."""
    nodes, marks = Counter[int](), Counter[int]()
    nx, ny, _nz = SHAPE
    for *position, level, step in agents:
        fine = [round(p * 256) for p in position]
        cell = [min(f >> 8, n - 1) for f, n in zip(fine, SHAPE, strict=True)]
        marks[(step * 7 + level) * lattice.size + (cell[2] * ny + cell[1]) * nx + cell[0]] += 1
        for corner in range(8):
            weight, place = 1, []
            for axis, n in enumerate(SHAPE):
                below, part = divmod(fine[axis] - 128, 256)
                upper = corner >> axis & 1
                weight *= part if upper else 256 - part
                place.append(image(below + upper, n, lattice.boundary))
            if None not in place and weight:
                x, y, z = (k + 1 for k in place)
                nodes[step * lattice.nodes + (z * (ny + 2) + y) * (nx + 2) + x] += weight
    return nodes, marks


@given(AGENTS, st.sampled_from(BOUNDARIES))
def test_equals_the_reference(agents: Agents, boundary: Boundary) -> None:
    """Every node and every mark of every step, to the unit."""
    lattice = lattice_of(boundary)
    found = gathered(agents, lattice)
    nodes, marks = expected(agents, lattice)
    assert dict(zip(found.node.tolist(), found.units.tolist(), strict=True)) == nodes
    assert dict(zip(found.mark.tolist(), found.agents.tolist(), strict=True)) == marks
    assert sorted(found.node.tolist()) == found.node.tolist()
    assert sorted(found.mark.tolist()) == found.mark.tolist()


@given(AGENTS, st.integers(0, 40), st.integers(0, 40), st.sampled_from(BOUNDARIES))
def test_parts_add_up_to_the_whole(agents: Agents, first: int, second: int, boundary: Boundary) -> None:
    """However the agents of a step are cut into batches, their deposits merge to the same integers."""
    lattice = lattice_of(boundary)
    agents = [(*agent[:4], 0) for agent in agents]
    a, b = sorted((first, second))
    parts = [gathered(part, lattice, 1) for part in (agents[b:], agents[:a], agents[a:b])]
    whole, merged = gathered(agents, lattice, 1), merge(parts, lattice)
    for one, other in zip(whole, merged, strict=True):
        assert one.tolist() == other.tolist()


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_many_agents_in_few_steps_are_summed_in_a_table(seed: int) -> None:
    """The two ways to sum give the same."""
    rng = np.random.default_rng(seed)
    agents = [
        (*row, int(level), int(step))
        for row, level, step in zip(
            (rng.random((3000, 3)) * SHAPE).astype(np.float32).tolist(),
            rng.integers(0, 7, 3000),
            rng.integers(0, 2, 3000),
            strict=True,
        )
    ]
    lattice = lattice_of("reflecting")
    one, other = gathered(agents, lattice, 2), gathered(agents, lattice, 100_000)
    for a, b in zip(one, other, strict=True):
        assert a.tolist() == b.tolist()
