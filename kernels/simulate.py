"""A simulated population: a million agents and more that move, flock, are born and die, reproducibly.

The rules; time counts in ticks, and N agents are alive at any:

    slot        1 to N; a slot always holds one agent. The first slots are of level 0, the next of level 1, ...
    cohort      slot mod 64. The cohorts turn one after the other, evenly over a leg: their agents begin the next leg of
                their paths (kernels.simulate_paths). An agent of cohort c lives for 4 + c mod 9 legs; then its slot's
                next agent is born.
                At tick 0 agents are amid their lives, so that births and deaths are as many then as ever.
    agent_id    generation * 2^32 + slot: never 0, never used again
    partition   partition_of(agent_id): the agents of a slot live in different partitions
    event       one per agent and tick (kernels.simulate_events)

So an agent's events are a pure function of (seed, agent, tick): the union over the partitions is the same for any
number of them, any tick can be asked for at any time, and all there is to a snapshot is the number of a tick. From one
tick to the next only the cohort that turns is made anew.
"""

from collections.abc import Iterator

import numpy as np

from kernels.errors import ConfigError
from kernels.hashing import partition_of
from kernels.lateness import END_US
from kernels.schema import MAX_LEVEL, MAX_RECORD_EVENTS, Columns
from kernels.simulate_events import BLOCK, Members, Scratch, Tick, empty_events, fill_events
from kernels.simulate_paths import MARGIN, inner_box, keys_of, mixed_legs
from kernels.simulate_roster import Roster

__all__ = ["Population", "exponential_levels"]

_COHORTS = 64  # few enough that a turn's fixed cost, 0.2 ms, is small; many enough that turns are gradual
_CROSSING_MPS = 20.0  # a leg lasts as long as crossing the world at this speed: agents move at about 7 m/s
_FLOCK_SLOTS = 256
_NOISE_M, _NOISE_MPS = 0.1, 0.25
_MAX_TICK_US = 2**32
_MAX_TURN_TICKS = 2**25 - 1  # a leg is then below 2^31 ticks: its age fits an int32
_TICK = 3 << 62  # sets the keys of ticks apart from those of agents


def exponential_levels(total: int) -> tuple[int, ...]:
    """Return how many of `total` agents each of the seven levels has: a tenth of the one below, level 0 the rest.

    >>> exponential_levels(1_000_000)
    (900000, 90000, 9000, 900, 90, 9, 1)
    """
    upper = [9 * total // 10 ** (level + 1) for level in range(1, MAX_LEVEL)] + [total // 10**MAX_LEVEL]
    return (total - sum(upper), *upper)


class Population:
    """The agents of one partition of a simulated population.

    Parameters
    ----------
    agents
        N, of all partitions together, alive at any tick.
    seed
        0 to 2^64 - 1.
    partition, partitions
        Which part of the population this is; together the parts are the same for any number of them.
    world_min_m, world_max_m
        The box, (x, y, z); positions are strictly inside.
    tick_us, start_us
        Length of a tick, and the event time at which tick 0 starts. An event lies within the first eighth of its tick.
    levels
        Agents of each level, at most seven counts that sum to `agents`; None: `exponential_levels(agents)`.
    coupling
        0: every agent goes its own way, to 1: flocks draw together, align, and follow one another.

    Raises
    ------
    ConfigError
        An argument is out of range.

    Examples
    --------
    >>> box = {"world_min_m": (0, 0, 0), "world_max_m": (1000, 1000, 100)}
    >>> population = Population(1000, 7, **box, tick_us=100_000, start_us=0)
    >>> events = population.step(0)
    >>> len(events["agent_id"]), int(events["seq"].min())
    (1000, 1)
    """

    def __init__(
        self,
        agents: int,
        seed: int,
        *,
        partition: int = 0,
        partitions: int = 1,
        world_min_m: tuple[float, float, float],
        world_max_m: tuple[float, float, float],
        tick_us: int,
        start_us: int,
        levels: tuple[int, ...] | None = None,
        coupling: float = 0.1,
    ) -> None:
        counts = exponential_levels(agents) if levels is None else levels
        _check(
            agents=agents,
            seed=seed,
            partition=partition,
            partitions=partitions,
            tick_us=tick_us,
            start_us=start_us,
            levels=counts,
            coupling=coupling,
        )
        self._seed, self._coupling = seed, coupling
        self._agents, self._last_slots = agents, np.cumsum(counts)
        self._partition, self._partitions = partition, partitions
        self._tick_us, self._start_us = tick_us, start_us
        self._world, edge_m = inner_box(world_min_m, world_max_m)
        self._noise_m = min(_NOISE_M, MARGIN / 2 * min(edge_m))
        leg_ticks = max(edge_m) / _CROSSING_MPS * 1e6 / tick_us
        self._turn_ticks = min(max(1, round(leg_ticks / _COHORTS)), _MAX_TURN_TICKS)
        # Times stay below the watermark of an ended partition, generations below 2^32.
        self._end_tick = min(2**40, (END_US - start_us) // tick_us)
        mean = agents / partitions
        # Partition sizes are binomial: eight standard deviations and some are not exceeded in the life of the machine.
        self._roster = Roster(min(agents, int(mean + 8 * mean**0.5) + 64))
        self._cohort_rows = [0] * _COHORTS
        self._turn = -2 * _COHORTS  # no tick's turn: the first tick builds every cohort
        self._scratch = Scratch()

    @property
    def nbytes(self) -> int:
        """Memory of the agents held."""
        return self._roster.nbytes

    def time_us(self, tick: int) -> int:
        """Return the event time at which a tick begins."""
        return self._start_us + tick * self._tick_us

    def step(self, tick: int) -> Columns:
        """Return the events of all agents of the partition at `tick`, 0 or more.

        The columns are `agent_id`, `time_us`, `seq`, `x_m`, `y_m`, `z_m`, `level`, `energy` (v^2/2 + g z, J/kg),
        `speed_mps`, `heading_rad` (clockwise from +y, in [0, 2 pi)) and `climb_mps`, of the types of `kernels.schema`;
        all finite. They are new arrays. Asking for the next tick is cheap; for another, the cohorts are built again.
        """
        self._seek(tick)
        return self._events(tick, 0, len(self._roster))

    def frames(self, tick: int) -> Iterator[Columns]:
        """Yield the events of `step(tick)`, in its order, in frames of at most 65,536."""
        self._seek(tick)
        for start in range(0, len(self._roster), MAX_RECORD_EVENTS):
            self._seek(tick)  # in case that another tick was asked for meanwhile
            yield self._events(tick, start, min(start + MAX_RECORD_EVENTS, len(self._roster)))

    def _events(self, tick: int, start: int, stop: int) -> Columns:
        columns, position_m = empty_events(stop - start)
        shared = self._tick(tick)
        at = 0
        for members in self._roster.runs(start, stop, longest=BLOCK):
            rows = slice(at, at + len(members.agent_id))
            views = {name: column[rows] for name, column in columns.items()}
            fill_events(members, views, position_m[:, rows], tick=shared, scratch=self._scratch)
            at = rows.stop
        return columns

    def _tick(self, tick: int) -> Tick:
        word = int(keys_of(np.array([tick | _TICK], np.uint64), seed=self._seed)[0]) & 0xFFFFFFFF
        return Tick(
            number=tick,
            time_us=self.time_us(tick),
            tick_us=self._tick_us,
            leg_ticks=self._turn_ticks * _COHORTS,
            noise_m=self._noise_m,
            noise_mps=_NOISE_MPS,
            word=word,
        )

    def _seek(self, tick: int) -> None:
        """Bring every cohort to the leg it is on at `tick`."""
        if not 0 <= tick < self._end_tick:
            raise ValueError(f"tick is {tick}, expected 0 to {self._end_tick - 1}")
        turn = tick // self._turn_ticks
        if not 0 <= turn - self._turn < _COHORTS:
            self._roster.clear()
            self._cohort_rows = [0] * _COHORTS
            self._turn = turn - _COHORTS
        for number in range(self._turn + 1, turn + 1):
            leg, cohort = divmod(number, _COHORTS)
            entering = self._cohort(cohort, leg)
            self._roster.turn(self._cohort_rows[cohort], entering)
            self._cohort_rows[cohort] = len(entering.agent_id)
        self._turn = turn

    def _cohort(self, cohort: int, leg: int) -> Members:
        """Return this partition's agents of `cohort` at its turn to `leg`, -1 or more, in the order of their slots."""
        first = cohort or _COHORTS
        count = len(range(first, self._agents + 1, _COHORTS))
        life = 4 + cohort % 9
        # A cohort turns as one, but its agents are born at different turns: its i-th slot is (i mod life) legs older.
        age = np.arange(life)
        generation = (leg + 1 + age) // life
        birth = ((generation * life - 1 - age) * _COHORTS + cohort) * self._turn_ticks
        # Each of P partitions hashes all ids of the cohort, 10 ns an id: P * 10 / (ticks of a leg) ns an event.
        slots = np.arange(-(-count // life) * life).astype(np.uint64) * np.uint64(_COHORTS) + np.uint64(first)
        ids = (slots.reshape(-1, life) | generation.astype(np.uint64) << np.uint64(32)).ravel()[:count]
        mine = np.flatnonzero(partition_of(ids, self._partitions) == self._partition)
        ids, slots = ids[mine], slots[mine]
        keys = keys_of(ids, seed=self._seed)
        level = np.searchsorted(self._last_slots, slots.astype(np.int64), side="left").astype(np.uint8)
        legs = mixed_legs(
            keys,
            flock=slots % np.uint64(max(1, self._agents // _FLOCK_SLOTS)),
            level=level,
            leg=leg,
            phase=cohort / _COHORTS,
            coupling=self._coupling,
            seed=self._seed,
            world=self._world,
        )
        return Members(
            agent_id=ids,
            word=(keys >> np.uint64(32)).astype(np.uint32),
            unborn=((1 - birth) % 2**32).astype(np.uint32)[mine % life],
            turned=np.full(len(ids), (leg * _COHORTS + cohort) * self._turn_ticks % 2**32, np.uint32),
            level=level,
            start_m=legs.start_m,
            slope_m=legs.slope_m,
            bend_m=legs.bend_m,
        )


def _check(
    *,
    agents: int,
    seed: int,
    partition: int,
    partitions: int,
    tick_us: int,
    start_us: int,
    levels: tuple[int, ...],
    coupling: float,
) -> None:
    """Refuse arguments out of range."""
    rules = (
        ("agents", agents, 1 <= agents < 2**32, "1 to 2^32 - 1"),
        ("seed", seed, 0 <= seed < 2**64, "0 to 2^64 - 1"),
        ("partitions", partitions, partitions >= 1, "1 or more"),
        ("partition", partition, 0 <= partition < partitions, f"0 to {partitions - 1}"),
        ("tick_us", tick_us, 1 <= tick_us < _MAX_TICK_US, "1 to 2^32 - 1"),
        ("start_us", start_us, abs(start_us) <= END_US // 2, f"-{END_US // 2} to {END_US // 2}"),
        ("levels", levels, 1 <= len(levels) <= MAX_LEVEL + 1, "one to seven counts"),
        ("levels", levels, min(levels, default=0) >= 0, "counts of 0 and more"),
        ("levels", levels, sum(levels) == agents, f"counts whose sum is the number of agents, {agents}"),
        ("coupling", coupling, 0 <= coupling <= 1, "0 to 1"),
    )
    for name, value, holds, allowed in rules:
        if not holds:
            raise ConfigError(f"{name} is {value}, expected {allowed}")
