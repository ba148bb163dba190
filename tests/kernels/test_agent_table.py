"""The table of agents against a dict, through growth, collisions and forgetting."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.agent_table import AgentTable

_ROW = np.dtype([("value", "<i8")])
_BLANK = np.array((-1,), _ROW)


def _values(table: AgentTable, agents: NDArray[np.uint64]) -> list[int]:
    values: list[int] = table.read(table.slots(agents))["value"].tolist()
    return values


def _rows(values: NDArray[np.int64]) -> NDArray[np.void]:
    return values.astype(np.int64).view(_ROW)


@given(seed=st.integers(0, 2**32), batches=st.integers(1, 8), spread=st.sampled_from([3, 50, 5000, 2**63]))
@settings(max_examples=30)
def test_equal_to_a_dict(seed: int, batches: int, spread: int) -> None:
    """What was written last for an agent is what is read for it, whatever the ids, 0 and the largest among them."""
    rng = np.random.default_rng(seed)
    table, expected = AgentTable(_BLANK), dict[int, int]()
    for _ in range(batches):
        agents = rng.integers(0, spread, 1500, dtype=np.uint64)
        agents[:2] = [0, 2**64 - 1]
        assert _values(table, agents) == [expected.get(agent, -1) for agent in agents.tolist()]
        once, last = np.unique(agents[::-1], return_index=True)
        table.write(table.slots(once), _rows(last))
        expected |= dict(zip(once.tolist(), last.tolist(), strict=True))
        assert len(table) == len(expected)
    ids, rows = table.sorted()
    assert dict(zip(ids.tolist(), rows["value"].tolist(), strict=True)) == expected
    assert ids.tolist() == sorted(expected)


def test_room_stays_in_proportion() -> None:
    """At most 5 of 8 cells are taken, and at most 4 cells and 1,024 an agent are allocated."""
    table = AgentTable(_BLANK)
    for start in range(0, 100_000, 7_000):
        table.slots(np.arange(start, start + 7_000, dtype=np.uint64))
        assert len(table) * 8 <= table.capacity * 5
        assert table.capacity <= max(1024, 4 * len(table))


def test_only_the_live_are_kept() -> None:
    """A full table asks which rows to keep, and forgets the others instead of growing."""
    table = AgentTable(_BLANK)
    for generation in range(50):
        agents = np.arange(600, dtype=np.uint64) + np.uint64(600 * generation)
        slots = table.slots(agents, live=lambda rows, least=generation - 1: rows["value"] >= least)
        table.write(slots, _rows(np.full(600, generation)))
    assert table.capacity <= 4096
    assert _values(table, agents) == [49] * 600
    assert _values(table, np.zeros(1, np.uint64)) == [-1]
