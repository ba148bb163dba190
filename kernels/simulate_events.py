"""From the legs of simulated agents to events: the columns of N agents at one tick, in blocks that stay in the cache.

An event is where its agent's path is at the event's own time, with the errors of an instrument: position and velocity
are off by a uniform, reproducible noise. About 90 operations an event, all on arrays that are written to again for each
block. Only + - * / and sqrt of float32 and operations on integers are used, so every CPU gives the same bits.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.schema import Columns, column_dtype
from kernels.simulate_heading import heading

__all__ = ["BLOCK", "Members", "Scratch", "Tick", "empty_events", "fill_events"]

BLOCK = 16_384  # events: 45 M/s with 8k, 48 with 16k, 56 with 32k, whose temporaries fill a cache of 2 MB

_NAMES = ("agent_id", "time_us", "seq", "level", "energy", "speed_mps", "heading_rad", "climb_mps")
_GRAVITY = np.float32(9.80665)  # m/s^2, standard: the energy is specific, v^2/2 + g z in J/kg, as for flights
_JITTER = 2.0**-3  # the events of a tick are spread over its first eighth
_MULTIPLIERS = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)  # of lowbias32 (Wellons, "Hash Prospector", 2018)


class Members(NamedTuple):
    """N agents on their present legs: p(u) = start + slope u + bend u^2.

    Attributes
    ----------
    agent_id
        (N,) uint64.
    word
        (N,) uint32, the agent's own random bits.
    unborn
        (N,) uint32, 1 - the tick of its birth, modulo 2^32: `unborn + tick` is its `seq`.
    turned
        (N,) uint32, the tick at which the leg began, modulo 2^32.
    level
        (N,) uint8.
    start_m, slope_m, bend_m
        (3, N) float32, metres.
    """

    agent_id: NDArray[np.uint64]
    word: NDArray[np.uint32]
    unborn: NDArray[np.uint32]
    turned: NDArray[np.uint32]
    level: NDArray[np.uint8]
    start_m: NDArray[np.float32]
    slope_m: NDArray[np.float32]
    bend_m: NDArray[np.float32]

    def rows(self, rows: slice) -> "Members":
        """Return views of some of the agents."""
        return Members(
            self.agent_id[rows],
            self.word[rows],
            self.unborn[rows],
            self.turned[rows],
            self.level[rows],
            self.start_m[:, rows],
            self.slope_m[:, rows],
            self.bend_m[:, rows],
        )


class Tick(NamedTuple):
    """What all events of a tick share.

    Attributes
    ----------
    number, time_us, tick_us
        Its number, start and length.
    leg_ticks
        Length of a leg.
    noise_m, noise_mps
        Largest error, each axis.
    word
        The tick's own 32 random bits.
    """

    number: int
    time_us: int
    tick_us: int
    leg_ticks: int
    noise_m: float
    noise_mps: float
    word: int


class Scratch:
    """The temporaries of a block."""

    def __init__(self) -> None:
        self.bits = np.empty((2, BLOCK), np.uint32)
        self.jitter = np.empty(BLOCK, np.float32)
        self.leg = np.empty(BLOCK, np.float32)
        self.noise = np.empty((3, BLOCK), np.float32)
        self.work = np.empty((3, BLOCK), np.float32)
        self.velocity = np.empty((3, BLOCK), np.float32)


def empty_events(count: int) -> tuple[Columns, NDArray[np.float32]]:
    """Return unfilled columns of `count` events, and their positions once more as one (3, N) array."""
    position_m = np.empty((3, count), np.float32)
    columns: Columns = {name: np.empty(count, column_dtype(name)) for name in _NAMES}
    columns.update(zip(("x_m", "y_m", "z_m"), position_m, strict=True))
    return columns, position_m


def fill_events(
    members: Members, columns: Columns, position_m: NDArray[np.float32], *, tick: Tick, scratch: Scratch
) -> None:
    """Write the events of N agents at `tick`, N <= `BLOCK`, into views of columns of length N."""
    n = len(members.agent_id)
    jitter, noise, velocity = scratch.jitter[:n], scratch.noise[:, :n], scratch.velocity[:, :n]
    _draw(members.word, tick.word, jitter, noise, scratch.bits[:, :n])
    columns["agent_id"][:] = members.agent_id
    columns["level"][:] = members.level
    np.add(members.unborn, np.uint32(tick.number % 2**32), out=columns["seq"])
    _stamp(jitter, tick, columns["time_us"], scratch.leg[:n])
    _move(
        members,
        tick=tick,
        jitter=jitter,
        position_m=position_m,
        velocity=velocity,
        scratch=scratch,
    )
    noise *= np.float32(tick.noise_m)
    position_m += noise
    noise *= np.float32(tick.noise_mps / tick.noise_m)
    velocity += noise
    columns["climb_mps"][:] = velocity[2]
    _speed_and_energy(velocity, position_m[2], columns["speed_mps"], columns["energy"], scratch.work[:, :n])
    heading(velocity[0], velocity[1], out=columns["heading_rad"], work=scratch.work[:, :n])


def _draw(
    words: NDArray[np.uint32],
    tick_word: int,
    jitter: NDArray[np.float32],
    noise: NDArray[np.float32],
    bits: NDArray[np.uint32],
) -> None:
    """Draw `jitter` from [0, _JITTER], in ticks, and three `noise` from [-1, 1]; four bytes of one hash lead them."""
    drawn, shifted = bits
    np.bitwise_xor(words, np.uint32(tick_word), out=drawn)
    drawn *= _MULTIPLIERS[0]
    drawn ^= np.right_shift(drawn, np.uint32(15), out=shifted)
    drawn *= _MULTIPLIERS[1]
    drawn ^= np.right_shift(drawn, np.uint32(16), out=shifted)
    np.copyto(jitter, drawn.view(np.int32), casting="unsafe")
    jitter *= np.float32(_JITTER / 2**32)
    jitter += np.float32(_JITTER / 2)
    for axis, shift in enumerate((8, 16, 24)):
        np.left_shift(drawn, np.uint32(shift), out=shifted)
        np.copyto(noise[axis], shifted.view(np.int32), casting="unsafe")
    noise *= np.float32(2.0**-31)


def _stamp(
    jitter: NDArray[np.float32], tick: Tick, time_us: NDArray[np.int64], work: NDArray[np.float32]
) -> None:
    np.multiply(jitter, np.float32(tick.tick_us), out=work)
    np.copyto(time_us, work, casting="unsafe")
    time_us += tick.time_us


def _move(
    members: Members,
    *,
    tick: Tick,
    jitter: NDArray[np.float32],
    position_m: NDArray[np.float32],
    velocity: NDArray[np.float32],
    scratch: Scratch,
) -> None:
    """Evaluate the legs, and their derivative in metres a second, at the events' own times."""
    n = len(jitter)
    part, work = scratch.leg[:n], scratch.work[:, :n]
    age = np.subtract(np.uint32(tick.number % 2**32), members.turned, out=scratch.bits[0, :n])
    np.copyto(part, age.view(np.int32), casting="unsafe")
    part += jitter
    part *= np.float32(1 / tick.leg_ticks)
    np.multiply(members.bend_m, part, out=work)
    np.add(work, members.slope_m, out=velocity)
    np.multiply(velocity, part, out=position_m)
    position_m += members.start_m
    velocity += work
    velocity *= np.float32(1e6 / (tick.leg_ticks * tick.tick_us))


def _speed_and_energy(
    velocity: NDArray[np.float32],
    z_m: NDArray[np.float32],
    speed_mps: NDArray[np.float32],
    energy: NDArray[np.float32],
    work: NDArray[np.float32],
) -> None:
    np.multiply(velocity, velocity, out=work)
    squared = work[0]
    squared += work[1]
    squared += work[2]
    np.sqrt(squared, out=speed_mps)
    squared *= np.float32(0.5)
    np.multiply(z_m, _GRAVITY, out=energy)
    energy += squared
