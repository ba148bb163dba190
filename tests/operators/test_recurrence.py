"""Fields and emergence equal an obvious loop over ticks, whatever the framing, the interleaving, the pauses, the restarts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bytewax.operators as op
import numpy as np
import pytest
import reference
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main
from driver import columns_of, interleave, split
from hypothesis import given, settings
from hypothesis import strategies as st
from partitions import Partitions, Published, origin
from reference import Row

from kernels.backend import get_backend
from kernels.diffusion import Diffusion
from kernels.errors import AuraError
from kernels.fields import FieldConfig
from kernels.grid import Grid
from kernels.hashing import partition_of
from kernels.lattice import Lattice
from kernels.metric import Metric
from kernels.panes import Window
from kernels.potential import Screening
from kernels.schema import Columns
from operators.batch import Batch
from operators.emergence import EmergenceConfig, EmergenceMachine, RegionSums
from operators.field_steps import FieldDeposits, FieldMachine
from operators.ingest import Ingest, IngestConfig
from operators.keyed import keyed
from operators.recurrence import Machine, Recurrence, RecurrenceConfig
from operators.result import Result
from operators.state import pack

GRID = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (3, 2, 1))
METRIC = Metric("energy", 0.5, -1000.0, 1000.0)
TICK_US, LATENESS_US, PUBLISH, REST = 5, 7, 3, 4
PARTITIONS = 3
AGENTS = [int(np.flatnonzero(partition_of(np.arange(99, dtype=np.uint64), PARTITIONS) == p)[k])
          for p in range(PARTITIONS) for k in range(2)]  # fmt: skip

Told = dict[int, dict[str, bytes]]


@dataclass(frozen=True)
class Side:
    """One of the two: its step at the source, and its machine."""

    combine: Callable[[Batch], Any]
    machine: Callable[[], Machine]


def _fields() -> Side:
    lattice = Lattice((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), GRID.shape)
    config = FieldConfig(Diffusion(lattice, 0.1, 30.0, 0.5), Screening(lattice, 15.0), memory_s=0.2)
    return Side(
        FieldDeposits(lattice, TICK_US, LATENESS_US), lambda: FieldMachine(config, get_backend("numpy").field)
    )


def _emergence(metric: Metric | None) -> Side:
    config = EmergenceConfig(GRID, metric, TICK_US, LATENESS_US, memory_ticks=5.0)
    return Side(RegionSums(config), lambda: EmergenceMachine(config))


SIDES = {"fields": _fields(), "counts": _emergence(None), "means": _emergence(METRIC)}
WINDOW = Window("w", length_us=2**40, slide_us=2**40, lateness_us=LATENESS_US)


@dataclass
class Flow(Partitions):
    """The steps between a source and a sink, and what they put out."""

    side: Side
    horizon_us: int = 10**9
    results: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the steps."""
        self.config = RecurrenceConfig(
            "test", TICK_US, LATENESS_US, PUBLISH, REST, PARTITIONS, self.horizon_us
        )
        checks = IngestConfig(GRID, (METRIC,), least_lateness_us=LATENESS_US, lateness_us=LATENESS_US)
        self.open(checks, PARTITIONS)
        self.recurrence = Recurrence(self.config, self.side.machine())

    def restart(self) -> None:
        """Go on from snapshots, as after a crash."""
        super().restart()
        self.recurrence = Recurrence(self.config, self.side.machine(), self.recurrence.snapshot())

    def columns(self, events: Sequence[Row]) -> Columns:
        """Return rows as columns."""
        return columns_of(events, GRID, [METRIC])

    def take(self, batch: Batch) -> None:
        """Let a batch through the steps."""
        messages = [message for _, message in self.side.combine(batch)]
        self.results += self.recurrence.on_messages(messages)

    def last(self) -> dict[str, Result]:
        """The last revision of each result."""
        found = Published()
        for result in self.results:
            found.add(result)
        return {result.id: result for result in found.values()}


def _plain(results: Mapping[str, Result]) -> dict[str, dict[str, bytes]]:
    return {k: {n: v.tobytes() for n, v in r.columns.items()} for k, r in results.items() if len(r)}


def _expected(side: Side, partitions: Mapping[int, Sequence[Row]]) -> dict[str, dict[str, bytes]]:
    """Every tick after the other, each with all that came in it at once."""
    _, kept = reference.account(partitions, [WINDOW])
    ticks: dict[int, list[Row]] = {}
    for row in kept[WINDOW]:
        ticks.setdefault(row.time_us // TICK_US, []).append(row)
    found: dict[str, Result] = {}
    machine, quiet, due, resting = side.machine(), 0, False, True
    for tick in range(min(ticks, default=0), max(ticks, default=-1) + PUBLISH):
        parts = [part for _, part in _parts(side, machine, ticks.get(tick, []))]
        if resting and not parts:
            continue
        machine.step(parts)
        resting = False
        quiet, due = (0, True) if parts else (quiet + 1, due)
        if due and (tick + 1) % PUBLISH == 0:
            found |= {result.id: result for result in machine.results((tick + 1) * TICK_US) if len(result)}
            due = False
        if quiet >= REST:
            machine.reset()
            resting = True
    return _plain(found)


def _parts(side: Side, machine: Machine, rows: Sequence[Row]) -> list:
    if not rows:
        return []
    source = Ingest(IngestConfig(GRID, (METRIC,), least_lateness_us=10**9, lateness_us=10**9))
    batch = source.accept(columns_of(rows, GRID, [METRIC]), origin(0))
    return [each for _, told in side.combine(batch) for each in machine.parts(told)]


def _by_partition(rows: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        partition = int(partition_of(np.array([row.agent_id], np.uint64), PARTITIONS)[0])
        found.setdefault(partition, []).append(row)
    return found


ROWS = st.builds(
    Row,
    st.sampled_from(AGENTS),
    st.integers(-40, 90),
    st.just(0),
    st.tuples(*(st.integers(0, n - 1) for n in GRID.shape)),
    st.tuples(st.none() | st.integers(-900, 900).map(lambda v: v / 4)),
)
PARTS = st.lists(ROWS, max_size=40).map(_by_partition)
ORDERS = st.tuples(
    st.lists(st.integers(1, 9), min_size=1, max_size=4), st.lists(st.integers(0, 5), max_size=8)
)  # sizes of batches, and which partition is next
PAUSES = st.lists(st.integers(0, 2), max_size=20)


@pytest.mark.parametrize("name", SIDES)
@given(PARTS, ORDERS)
@settings(max_examples=40)
def test_equals_the_loop(
    name: str, partitions: dict[int, list[Row]], order: tuple[list[int], list[int]]
) -> None:
    """Any framing and interleaving publishes what the loop does, bit for bit and once."""
    flow = Flow(SIDES[name])
    for partition, rows in _batches(partitions, order):
        flow.feed(partition, rows)
    flow.finish()
    assert _plain(flow.last()) == _expected(flow.side, partitions)
    assert all(result.revision == 0 for result in flow.results), "without idle partitions nothing is amended"


@pytest.mark.parametrize("name", SIDES)
@given(PARTS, ORDERS, PAUSES, st.integers(0, 4))
@settings(max_examples=60)
def test_idle_partitions_amend(
    name: str,
    partitions: dict[int, list[Row]],
    order: tuple[list[int], list[int]],
    pauses: list[int],
    every: int,
) -> None:
    """However often partitions are idle and come back, and steps restart, the last revisions are the loop's."""
    flow = Flow(SIDES[name])
    for turn, (partition, rows) in enumerate(_batches(partitions, order)):
        for paused in pauses[turn : turn + 1]:
            flow.pause(paused)
        flow.feed(partition, rows)
        if every and turn % every == 0:
            flow.restart()
    flow.finish()
    assert _plain(flow.last()) == _expected(flow.side, partitions)


@pytest.mark.parametrize("name", SIDES)
@given(PARTS, ORDERS, PAUSES, st.integers(1, 10))
@settings(max_examples=40)
def test_restart_changes_nothing(
    name: str,
    partitions: dict[int, list[Row]],
    order: tuple[list[int], list[int]],
    pauses: list[int],
    every: int,
) -> None:
    """Going on from snapshots puts out the same after each batch."""
    flows = whole, broken = Flow(SIDES[name], horizon_us=20), Flow(SIDES[name], horizon_us=20)
    for turn, (partition, rows) in enumerate(_batches(partitions, order)):
        for flow in flows:
            for paused in pauses[turn : turn + 1]:
                flow.pause(paused)
            flow.feed(partition, rows)
        if turn % every == 0:
            broken.restart()
        assert [(r.id, r.revision) for r in broken.results] == [(r.id, r.revision) for r in whole.results]
    assert _plain(whole.last()) == _plain(broken.last())


def _batches(
    partitions: Mapping[int, Sequence[Row]], order: tuple[list[int], list[int]]
) -> list[tuple[int, Sequence[Row]]]:
    sizes, picks = order
    return interleave({p: split(r, sizes) for p, r in partitions.items()}, picks)


def _row(time_us: int, agent: int = 0) -> Row:
    return Row(AGENTS[agent], time_us, 0, (0, 0, 0), (1.0,))


def test_past_the_horizon_is_left_out() -> None:
    """What an idle partition brings for ticks that are final changes nothing, and nothing is kept for it."""
    flow = Flow(SIDES["counts"], horizon_us=50)
    flow.feed(0, [_row(0)])
    for idle in (1, 2):
        flow.pause(idle)
    for time_us in range(0, 3000, 10):
        flow.feed(0, [_row(time_us)])
    published, size = len(flow.results), len(flow.recurrence.snapshot())
    for time_us in range(3000, 6000, 10):
        flow.feed(0, [_row(time_us)])
    assert abs(len(flow.recurrence.snapshot()) - size) < size / 2
    before = len(flow.results)
    assert before > published
    flow.feed(1, [_row(100, agent=2)])
    assert len(flow.results) == before


def test_a_far_future_is_not_stepped_to() -> None:
    """An event years ahead costs a rest, not a step for each tick in between."""
    flow = Flow(SIDES["fields"])
    for partition in range(PARTITIONS):
        flow.feed(partition, [_row(0, agent=2 * partition), _row(2**52, agent=2 * partition)])
    flow.finish()
    assert [int(r.id.split("/")[0]) // 15 for r in flow.results] == [1, 2**52 // 15 + 1]


def test_state_of_another_kind_is_refused() -> None:
    """A snapshot of something else is named, not misread."""
    flow = Flow(SIDES["counts"])
    with pytest.raises(AuraError, match="expected test version 2"):
        Recurrence(flow.config, flow.side.machine(), pack("field", 1, {}))


def test_runs_in_the_engine() -> None:
    """The steps give the same in a Bytewax flow."""
    side, out = SIDES["fields"], list[tuple[str, Result]]()
    flow = Flow(side)
    batches = [
        source.accept(columns_of([_row(3, agent=2 * p)], GRID, [METRIC]), origin(p))
        for p, source in enumerate(flow.sources)
    ]
    batches += [source.finish(origin(p)) for p, source in enumerate(flow.sources)]
    graph = Dataflow("recurrence")
    told = op.flat_map("combine", op.input("in", graph, TestingSource(batches)), side.combine)
    found = keyed("run", told, lambda state: Recurrence(flow.config, side.machine(), state))
    op.output("out", found, TestingSink(out))
    run_main(graph)
    assert [(key, result.id) for key, result in out] == [("0", "15/0")]
    assert float(out[0][1].columns["information"].sum()) == 0.0
