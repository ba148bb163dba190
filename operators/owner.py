"""Owners: each knows where its agents are, and turns their events into what the shards of space must do.

An agent has one owner, by the hash of its id. When a tick closes, the owner tells the shard that the agent is in now to put
its row, those whose cells touch the agent's to put a copy, and those that had either and no longer do to drop it: so an
agent is in one shard, never in two and never in none. Every shard is told of every closed tick in which something
happened, as all shards go from tick to tick together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.agent_rows import Rows, find, from_bytes, join, kept, last_of
from kernels.patches import Patches
from operators.state import pack, unpack
from operators.tick_log import TickLog
from operators.watermarks import Told, Watermarks

__all__ = ["COPY", "GONE", "OWN", "Moves", "Owner", "OwnerConfig"]

OWN, COPY, GONE = 0, 1, 2
"""What a row is to a shard: an agent in it, one in a cell that touches its own, one to drop."""
_VERSION = 1
_PLACE = np.dtype([("agent_id", "<u8"), ("time_us", "<i8"), ("cell", "<i4")])


@dataclass(frozen=True)
class OwnerConfig:
    """What owners and shards need to know.

    Parameters
    ----------
    patches
        How space is divided.
    dtype
        Of the agents' rows.
    tick_us, lateness_us
        Length of a tick, and how long after its end it closes.
    expire_us
        Agents that were silent for longer, at the end of a tick, are forgotten.
    horizon_us
        How long after its close a tick can change.
    partitions
        Source partitions.
    """

    patches: Patches
    dtype: np.dtype[np.void]
    tick_us: int
    lateness_us: int
    expire_us: int
    horizon_us: int
    partitions: int

    def left(self, tick: int) -> int:
        """Return the time before which an agent's last event makes it forgotten at the end of a tick."""
        return (tick + 1) * self.tick_us - self.expire_us


class Moves(NamedTuple):
    """What one owner tells one shard.

    Attributes
    ----------
    from_tick
        What the owner told of this tick and later ones before is void.
    open_tick, final_tick
        Ticks below them have closed, and cannot change.
    ticks, counts
        (K,) ticks of this message, and the rows of each for this shard.
    rows
        Those, one tick after the other, by agent.
    """

    shard: int
    owner: int
    from_tick: int
    open_tick: int
    final_tick: int
    ticks: NDArray[np.int64]
    counts: NDArray[np.int64]
    rows: NDArray[np.uint8]

    def __reduce__(self) -> tuple[Callable[[bytes], "Moves"], tuple[bytes]]:
        """Return what pickle writes: one run of bytes between processes."""
        return _unpack, (pack("moves", _VERSION, {"fields": list(self)}),)


def _unpack(data: bytes) -> Moves:
    return Moves(*unpack("moves", _VERSION, data)["fields"])


class Owner:
    """The agents of one owner, without an engine.

    Parameters
    ----------
    config
        What it needs to know.
    state
        What `snapshot` returned, or None at the start.
    """

    def __init__(self, config: OwnerConfig, state: bytes | None = None) -> None:
        self._config, self._owner = config, -1  # messages say which owner this is
        saved = unpack("owner", _VERSION, state) if state is not None else None
        self._marks = Watermarks(config.partitions, config.horizon_us, saved and saved["marks"])
        self._log = TickLog[Rows, list[Rows], list[Rows]](np.empty(0, _PLACE), self._step)
        if saved is not None:
            self._owner = saved["owner"]
            inputs = {t: [from_bytes(r, config.dtype) for r in rows] for t, rows in saved["inputs"].items()}
            self._log.restore(saved["log"], from_bytes(saved["base"], _PLACE), inputs)

    def on_messages(self, messages: Iterable[Told]) -> list[Moves]:
        """Take what batches told this owner; return what the shards must do."""
        moved, again = False, self._log.open
        for told in messages:
            self._owner = told.key
            if "rows" in told.columns:
                again = min(again, self._take(told.columns["rows"].view(self._config.dtype)))
            moved |= self._marks.put(told.partition, told.watermark_us, idle=told.idle)
        return self._advance(again) if moved or again < self._log.open or self._can_settle() else []

    def snapshot(self) -> bytes:
        """Return the state as plain data."""
        inputs = {tick: [rows.tobytes() for rows in given] for tick, given in self._log.inputs.items()}
        state = {"owner": self._owner, "marks": self._marks.snapshot(), "log": self._log.snapshot()}
        return pack("owner", _VERSION, state | {"base": self._log.base.tobytes(), "inputs": inputs})

    @property
    def nbytes(self) -> int:
        """Memory of the places of its agents."""
        return self._log.head.nbytes

    def _take(self, rows: Rows) -> int:
        """Take rows of one partition; return the first tick that they touch."""
        ticks = rows["time_us"] // self._config.tick_us
        order = np.argsort(ticks, kind="stable")
        ticks, rows = ticks[order], rows.take(order)
        heads = np.flatnonzero(np.append(True, ticks[1:] != ticks[:-1]))
        first = self._log.open
        for head, own in zip(heads.tolist(), np.split(rows, heads[1:]), strict=True):
            tick = int(ticks[head])
            if tick >= self._log.final:
                self._log.touch(tick)
                self._log.inputs.setdefault(tick, []).append(own)
                first = min(first, tick)
        return first

    def _ticks(self) -> tuple[int, int]:
        """Return the first tick that is not closed, and the first that is not final."""
        config = self._config
        open_tick = (self._marks.closed_us - config.lateness_us) // config.tick_us
        return open_tick, min(open_tick, (self._marks.final_us - config.lateness_us) // config.tick_us)

    def _can_settle(self) -> bool:
        return self._ticks()[1] > self._log.final

    def _advance(self, again: int) -> list[Moves]:
        before, (open_tick, final_tick) = (self._log.open, self._log.final), self._ticks()
        said = self._log.advance(open_tick, final_tick)
        if not said and (self._log.open, self._log.final) == before:
            return []
        shards = range(self._config.patches.shards.shards)
        ticks = np.array([tick for tick, _ in said], np.int64)
        return [
            Moves(
                shard, self._owner, min(again, before[0]), self._log.open, self._log.final, ticks,
                np.array([len(dealt[shard]) for _, dealt in said], np.int64),
                _joined([dealt[shard] for _, dealt in said], self._config.dtype),
            )
            for shard in shards
        ]  # fmt: skip

    def _step(self, places: Rows, tick: int, given: list[Rows]) -> tuple[Rows, Callable[[], list[Rows]]]:
        rows = last_of(np.concatenate(given) if len(given) > 1 else given[0])
        now = np.empty(len(rows), _PLACE)
        for name in _PLACE.names or ():
            now[name] = rows[name]
        after = join(places, now)
        gone = after["time_us"] < self._config.left(tick)
        return kept(after, ~gone), lambda: self._moves(places, rows)

    def _moves(self, places: Rows, rows: Rows) -> list[Rows]:
        """Return what each shard must do, by agent."""
        patches = self._config.patches
        cells, numbers = rows["cell"], np.arange(len(rows))
        own, copies = (numbers, patches.shard_of[cells]), patches.copies(cells)
        at, there = find(places, rows["agent_id"])
        known = np.flatnonzero(there)
        old_cell = places["cell"][at[known]]
        left = (patches.shard_of[old_cell] != own[1][known]) | patches.at_border[old_cell]
        known, old_cell = known[left], old_cell[left]
        agent, shard = patches.copies(old_cell)
        old = np.append(known, known[agent]), np.append(patches.shard_of[old_cell], shard)
        return _dealt(rows, own, copies, _difference(old, (own, copies), len(rows)), patches.shards.shards)


_Pairs = tuple[NDArray[np.intp], NDArray[np.int32]]  # (K,) numbers of agents, (K,) shards


def _difference(old: _Pairs, new: Sequence[_Pairs], agents: int) -> _Pairs:
    """Return the old pairs that are not among the new ones."""
    concerned = np.zeros(agents, np.bool_)
    concerned[old[0]] = True
    codes = [_code(agent[kept], shard[kept], agents) for agent, shard in new for kept in (concerned[agent],)]
    gone = ~np.isin(_code(*old, agents), np.concatenate(codes))
    return old[0][gone], old[1][gone]


def _code(agent: NDArray[np.intp], shard: NDArray[np.int32], agents: int) -> NDArray[np.int64]:
    return shard.astype(np.int64) << agents.bit_length() | agent


def _dealt(rows: Rows, own: _Pairs, copies: _Pairs, gone: _Pairs, shards: int) -> list[Rows]:
    """Return the rows for each shard, by agent, each with the role that it has there."""
    bits = len(rows).bit_length()
    coded = [
        _code(*pairs, len(rows)) << 2 | role for role, pairs in ((OWN, own), (COPY, copies), (GONE, gone))
    ]
    order = np.sort(np.concatenate(coded))
    dealt = rows.take(order >> 2 & (1 << bits) - 1)
    dealt["role"] = order & 3
    return np.split(dealt, np.searchsorted(order, np.arange(1, shards) << bits + 2))


def _joined(rows: Sequence[Rows], dtype: np.dtype[np.void]) -> NDArray[np.uint8]:
    joined = np.concatenate(rows) if rows else np.empty(0, dtype)
    found: NDArray[np.uint8] = np.ascontiguousarray(joined).view(np.uint8)
    return found
