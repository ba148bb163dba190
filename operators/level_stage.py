"""What every stage of the hierarchy does: its ticks close, their levels become results, and its top level goes up.

block     levels 0 to 3 of a shard of blocks of space, from the events     (`operators.level_block`)
upper     one level of the whole world, from what the stage below says     (`operators.level_upper`)
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.lateness import END_US, START_US
from kernels.pyramid import Steps, distinct, join_steps, locate
from kernels.schema import MAX_LEVEL
from operators.level_results import Level, LevelsConfig, results
from operators.result import Result
from operators.revisions import Revisions
from operators.state import pack, unpack
from operators.tick_log import TickLog

__all__ = ["MEMBER", "Climb", "Members", "Stage", "Tick", "count_agents"]

_VERSION = 1
MEMBER = np.dtype([("agent_id", "<u8"), ("code", "<i8"), ("step", "<i8"), ("level", "u1")])
Members = NDArray[np.void]
"""Distinct agents of higher levels, and in which step of which region they were."""


class Climb(NamedTuple):
    """What one stage tells the one above.

    Attributes
    ----------
    sender
        The number of the stage.
    from_us
        What it told of this time and later before is void.
    open_us, final_us
        Times before them have closed, and cannot change.
    steps, members
        Of its top level in the ticks that closed; `members` as bytes.
    """

    sender: int
    from_us: int
    open_us: int
    final_us: int
    steps: Steps
    members: NDArray[np.uint8]

    def __reduce__(self) -> tuple[Callable[[bytes], "Climb"], tuple[bytes]]:
        """Return what pickle writes: one run of bytes between processes."""
        fields = [*self[:4], list(self.steps), self.members]
        return _unpack, (pack("climb", _VERSION, {"fields": fields}),)


def _unpack(data: bytes) -> Climb:
    *times, steps, members = unpack("climb", _VERSION, data)["fields"]
    return Climb._make([*times, Steps._make(steps), members])


class Tick(NamedTuple):
    """What a tick says: its levels, the lowest first, and the agents of higher levels in the steps of the last."""

    levels: Sequence[Level]
    members: Members


class Stage:
    """The ticks of a stage.

    Parameters
    ----------
    config
        Of the hierarchy.
    level
        The top level of the stage.
    """

    def __init__(self, config: LevelsConfig, level: int) -> None:
        self.config, self.level, self.number = config, level, -1
        self.tick_us = config.tick_of(level)
        self.revisions = Revisions()

    def close(self, log: TickLog[Any, Any, Tick], open_us: int, final_us: int) -> list[Result | Climb]:
        """Close what has closed; return its results, and what goes up."""
        before = log.open, log.final
        said = log.advance(open_us // self.tick_us, final_us // self.tick_us)
        if not said and (log.open, log.final) == before:
            return []
        found: list[Result | Climb] = [
            result for tick, own in said for result in self.revisions.number(tick, self._results(tick, own))
        ]
        self.revisions.forget(log.final)
        if self.level < MAX_LEVEL:
            first = min([before[0], *(tick for tick, _ in said)])
            found.append(self._climb(first, log, [tick for _, tick in said]))
        return found

    def _results(self, tick: int, said: Tick) -> Iterator[Result]:
        for level in said.levels:
            about = f"{level.level}/{(tick + 1) * self.tick_us}/{self.number}"
            for kind, columns in results(level, self.config):
                yield Result(kind, about, columns)

    def _climb(self, first: int, log: TickLog[Any, Any, Tick], said: Sequence[Tick]) -> Climb:
        first_us, open_us, final_us = (
            min(max(tick * self.tick_us, START_US), END_US) for tick in (first, log.open, log.final)
        )
        steps = join_steps([Steps.none(len(self.config.metrics)), *(tick.levels[-1].steps for tick in said)])
        members = np.concatenate([np.empty(0, MEMBER), *(tick.members for tick in said)])
        return Climb(self.number, first_us, open_us, final_us, steps, members.view(np.uint8))


def count_agents(steps: Steps, members: Members) -> NDArray[np.int64]:
    """Return the numbers of distinct agents in K steps, given in which of them each was."""
    of = locate(steps, members["code"], members["step"])
    return distinct(of, members["agent_id"], len(steps.code))
