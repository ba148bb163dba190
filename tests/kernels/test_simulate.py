"""The simulated population: the same agents however it is cut, moving smoothly inside their world."""

from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.errors import ConfigError
from kernels.frame import decode_frame, encode_frame
from kernels.hashing import partition_of
from kernels.schema import MAX_RECORD_EVENTS, Columns, check_names, column_dtype
from kernels.simulate import Population, exponential_levels

AGENTS = 3_000
TICK_US = 1_000_000  # a leg lasts 64 ticks in BOX, and every tick a cohort turns
START_US = 1_700_000_000_000_000
BOX: dict[str, tuple[float, float, float]] = {
    "world_min_m": (-500.0, 0.0, 10.0),
    "world_max_m": (500.0, 1000.0, 110.0),
}


def _population(agents: int = AGENTS, seed: int = 7, **changes: Any) -> Population:
    return Population(agents, seed, **(BOX | {"tick_us": TICK_US, "start_us": START_US} | changes))


def _by_agent(*parts: Columns) -> Columns:
    """Put parts together, in the order of their agents."""
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(whole["agent_id"])
    return {name: column[order] for name, column in whole.items()}


def _assert_same(left: Columns, right: Columns) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def _survivors(before: Columns, after: Columns) -> tuple[Columns, Columns]:
    """Return the events of the agents that are in both, aligned."""
    _, left, right = np.intersect1d(before["agent_id"], after["agent_id"], return_indices=True)
    return {n: c[left] for n, c in before.items()}, {n: c[right] for n, c in after.items()}


def _polarisation(events: Columns, flocks: int) -> float:
    """Return the mean over the flocks of the length of their mean unit velocity."""
    angle = events["heading_rad"].astype(np.float64)
    flock = (events["agent_id"] % np.uint64(2**32)).astype(np.int64) % flocks
    count = np.bincount(flock)
    east, north = (np.bincount(flock, part) / count for part in (np.sin(angle), np.cos(angle)))
    return float(np.hypot(east, north).mean())


def test_a_million_agents_have_the_levels_of_the_reference() -> None:
    """The seven levels of a million agents are nine tenths, nine hundredths, ... and one agent on top."""
    assert exponential_levels(1_000_000) == (900_000, 90_000, 9_000, 900, 90, 9, 1)


@given(st.integers(0, 10**12))
def test_levels_of_any_total(total: int) -> None:
    """Whatever the total, there are seven counts, none rises with the level, and their sum is the total."""
    counts = exponential_levels(total)
    assert len(counts) == 7
    assert sum(counts) == total
    assert list(counts) == sorted(counts, reverse=True)


def test_every_level_keeps_its_count() -> None:
    """At any tick there are exactly as many agents of each level as were asked for."""
    levels = (2_000, 0, 700, 200, 90, 9, 1)
    population = _population(levels=levels)
    for tick in (0, 1, 63, 64, 500):
        assert np.bincount(population.step(tick)["level"]).tolist() == list(levels)


@pytest.mark.parametrize("partitions", [2, 5])
def test_the_union_is_the_same_for_any_number_of_partitions(partitions: int) -> None:
    """Cut into 2 or 5 partitions, the population has the same events to the bit, each in its agent's partition."""
    whole = _population()
    parts = [_population(partition=k, partitions=partitions) for k in range(partitions)]
    for tick in (0, 1, 2, 200):
        events = [part.step(tick) for part in parts]
        for partition, columns in enumerate(events):
            assert (partition_of(columns["agent_id"], partitions) == partition).all()
        _assert_same(_by_agent(*events), _by_agent(whole.step(tick)))


@pytest.mark.parametrize("partitions", [1, 3])
def test_any_tick_can_be_asked_for(partitions: int) -> None:
    """A population that starts at tick 140 gives the rows of one that came there tick by tick, and back again."""
    steady = _population(partition=partitions - 1, partitions=partitions)
    fresh = _population(partition=partitions - 1, partitions=partitions)
    first = steady.step(0)
    for tick in range(1, 141):
        events = steady.step(tick)
        if tick % 35 == 0:
            _assert_same(_population(partition=partitions - 1, partitions=partitions).step(tick), events)
    _assert_same(fresh.step(140), events)
    _assert_same(steady.step(0), first)


def test_the_seed_decides() -> None:
    """Two populations of one seed are equal; another seed moves every agent."""
    events = _population(seed=7).step(3)
    _assert_same(_population(seed=7).step(3), events)
    assert (_population(seed=8).step(3)["x_m"] != events["x_m"]).mean() > 0.99


def test_the_same_bits_on_every_machine() -> None:
    """The events of a tick hash to a known value, so no operation in them depends on the CPU."""
    events = _population(coupling=0.5).step(100)
    digest = sha256(b"".join(events[name].tobytes() for name in sorted(events)))
    assert digest.hexdigest() == "13e96ef8d080f651e18a19f08bca38d5101492f588a584a7c3e09a7f0b68a519"


def test_agents_are_born_and_die() -> None:
    """Over 300 ticks some agents die and as many are born; an id is alive once at a tick and never comes back."""
    population = _population()
    alive: set[int] = set()
    dead: set[int] = set()
    for tick in range(0, 300, 10):
        ids = population.step(tick)["agent_id"].tolist()
        now = set(ids)
        assert len(ids) == len(now) == AGENTS
        dead |= alive - now
        assert not dead & now
        alive = now
    assert AGENTS / 4 < len(dead) < 2 * AGENTS


def test_seq_counts_the_events_of_an_agent() -> None:
    """An agent's first event has seq 1, and each tick adds one."""
    population = _population()
    before = population.step(50)
    for tick in range(51, 60):
        after = population.step(tick)
        old, new = _survivors(before, after)
        np.testing.assert_array_equal(new["seq"], old["seq"] + 1)
        born = ~np.isin(after["agent_id"], before["agent_id"])
        assert born.any()
        assert (after["seq"][born] == 1).all()
        before = after


@pytest.mark.parametrize("tick_us", [1, 1_000, 333_333, 2**32 - 1])
def test_events_lie_in_their_tick(tick_us: int) -> None:
    """Event times lie in the first eighth of their tick, so the partition's greatest time never goes back."""
    population = _population(tick_us=tick_us)
    for tick in (0, 1, 77):
        offset_us = population.step(tick)["time_us"] - START_US - tick * tick_us
        assert offset_us.min() >= 0
        assert offset_us.max() <= tick_us / 8


@settings(max_examples=40)
@given(
    low_m=st.tuples(*[st.floats(-1e5, 1e5)] * 3),
    edge_m=st.tuples(*[st.floats(50, 1e6)] * 3),
    tick_us=st.integers(1, 2**32 - 1),
    tick=st.integers(0, 2**29),
    coupling=st.floats(0, 1),
    seed=st.integers(0, 2**64 - 1),
)
def test_all_agents_are_inside(
    *,
    low_m: tuple[float, ...],
    edge_m: tuple[float, ...],
    tick_us: int,
    tick: int,
    coupling: float,
    seed: int,
) -> None:
    """In any world, at any tick and coupling, every value is finite and every position strictly inside."""
    high_m = tuple(low + edge for low, edge in zip(low_m, edge_m, strict=True))
    events = _population(
        500, seed, world_min_m=low_m, world_max_m=high_m, tick_us=tick_us, start_us=0, coupling=coupling
    ).step(tick)
    for name, low, high in zip(("x_m", "y_m", "z_m"), low_m, high_m, strict=True):
        assert (events[name].astype(np.float64) > low).all()
        assert (events[name].astype(np.float64) < high).all()
    assert all(np.isfinite(column).all() for column in events.values())


def test_agents_move_as_they_say() -> None:
    """Over five ticks an agent moves by its velocity times the time between its events, up to noise and turning."""
    population = _population(tick_us=100_000)
    old, new = _survivors(population.step(700), population.step(705))
    elapsed_s = (new["time_us"] - old["time_us"]) / 1e6
    flat_mps = np.sqrt(old["speed_mps"].astype(np.float64) ** 2 - old["climb_mps"].astype(np.float64) ** 2)
    for axis, component in (
        ("x_m", flat_mps * np.sin(old["heading_rad"])),
        ("y_m", flat_mps * np.cos(old["heading_rad"])),
        ("z_m", old["climb_mps"]),
    ):
        error_mps = (new[axis].astype(np.float64) - old[axis]) / elapsed_s - component
        assert np.abs(error_mps).max() < 2.0  # 0.4 of two positions, 0.25 of the velocity, 1 of the turn
        assert np.abs(error_mps.mean()) < 0.05
    assert 4 < old["speed_mps"].mean() < 12


def test_energy_is_kinetic_and_potential() -> None:
    """The energy is v^2/2 + g z, in J/kg."""
    events = _population().step(5)
    expected = events["speed_mps"].astype(np.float64) ** 2 / 2 + 9.80665 * events["z_m"].astype(np.float64)
    np.testing.assert_allclose(events["energy"], expected, rtol=1e-6)


def test_coupling_aligns_flocks() -> None:
    """Within flocks the headings agree little without coupling, more with some, and nearly all with much."""
    none, some, much = (
        np.mean(
            [_polarisation(_population(coupling=coupling).step(tick), AGENTS // 256) for tick in (0, 100)]
        )
        for coupling in (0.0, 0.5, 0.95)
    )
    assert none < 0.15
    assert none + 0.1 < some < much - 0.1
    assert much > 0.7


def test_frames_are_the_step_in_pieces() -> None:
    """The frames of a tick have at most 65,536 events, and put together are the step, row for row."""
    population = _population(70_000)
    frames = list(population.frames(1))
    assert [len(frame["agent_id"]) for frame in frames] == [MAX_RECORD_EVENTS, 70_000 - MAX_RECORD_EVENTS]
    whole = {name: np.concatenate([frame[name] for frame in frames]) for name in frames[0]}
    _assert_same(whole, population.step(1))


def test_frames_survive_another_question() -> None:
    """Frames of a tick are right even if another tick is asked for between them."""
    population = _population(70_000)
    frames = population.frames(1)
    next(frames)
    population.step(90)
    _assert_same(next(frames), list(_population(70_000).frames(1))[1])


def test_frames_are_canonical() -> None:
    """The columns have the canonical names and types, and survive a frame on the wire."""
    (events,) = _population().frames(0)
    check_names(events)
    assert {name: column.dtype for name, column in events.items()} == {n: column_dtype(n) for n in events}
    _assert_same(dict(decode_frame(encode_frame(events)).columns), events)


def test_an_empty_partition_has_no_frames() -> None:
    """A partition without agents gives columns of no events, and no frames."""
    partition = 1 - int(partition_of(np.array([1], np.uint64), 2)[0])
    population = _population(1, partition=partition, partitions=2)
    assert len(population.step(0)["agent_id"]) == 0
    assert list(population.frames(0)) == []


def test_memory_per_agent() -> None:
    """An agent costs less than 64 bytes."""
    population = _population(20_000)
    population.step(0)
    assert population.nbytes < 64 * 20_000


@pytest.mark.parametrize(
    "changes",
    [
        {"agents": 0},
        {"seed": -1},
        {"partition": 2, "partitions": 2},
        {"partitions": 0},
        {"tick_us": 0},
        {"start_us": 2**62},
        {"levels": (1, 2)},
        {"levels": (AGENTS, 0, 0, 0, 0, 0, 0, 0)},
        {"levels": (AGENTS + 1, -1)},
        {"coupling": 1.5},
        {"world_max_m": (500.0, 0.0, 110.0)},
        {"world_max_m": (500.0, float("nan"), 110.0)},
        {"world_max_m": (500.0, float("inf"), 110.0)},
        {"world_min_m": (1e9, 0.0, 0.0), "world_max_m": (1e9 + 100, 1.0, 1.0)},
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, Any]) -> None:
    """An argument out of range is a configuration error that names it."""
    name = next(iter(changes))
    with pytest.raises(ConfigError, match="world" if name.startswith("world") else "|".join(changes)):
        _population(**changes)


@pytest.mark.parametrize("tick", [-1, 2**40])
def test_a_tick_out_of_range_is_refused(tick: int) -> None:
    """Ticks count from 0, to where ids and times would run out."""
    with pytest.raises(ValueError, match=f"tick is {tick}, expected 0 to 1099511627775"):
        _population().step(tick)


def test_the_last_tick_works() -> None:
    """At the last tick the ids are still unique and the seq positive."""
    events = _population().step(2**40 - 1)
    assert len(np.unique(events["agent_id"])) == AGENTS
    assert events["seq"].min() >= 1
