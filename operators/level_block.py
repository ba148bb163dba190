"""Levels 0 to 3 of the hierarchy in a shard of blocks of space: events in, their steps out and up."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kernels.pyramid import States, Steps, coarsen, distinct, ground, relax
from operators.level_events import BLOCK_LEVEL, event_dtype
from operators.level_results import Level, LevelsConfig
from operators.level_stage import MEMBER, Climb, Members, Stage, Tick, count_agents
from operators.result import Result
from operators.revisions import Revisions
from operators.state import pack, unpack
from operators.tick_log import TickLog
from operators.watermarks import Told, Watermarks

__all__ = ["Block"]

_VERSION = 2
_Rows = NDArray[np.void]
_States = tuple[States, ...]  # by level


class Block:
    """The blocks of one shard, without an engine.

    Parameters
    ----------
    config
        Of the hierarchy.
    state
        What `snapshot` returned, or None at the start.
    """

    def __init__(self, config: LevelsConfig, state: bytes | None = None) -> None:
        self._config, self._stage, self._dtype = (
            config,
            Stage(config, BLOCK_LEVEL),
            event_dtype(config.metrics),
        )
        empty = (States.empty(len(config.metrics)),) * (BLOCK_LEVEL + 1)
        self._log = TickLog[_States, list[_Rows], Tick](empty, self._step)
        saved = unpack("block", _VERSION, state) if state is not None else None
        self._marks = Watermarks(config.partitions, config.horizon_us, saved and saved["marks"])
        if saved is not None:
            self._stage.number, self._stage.revisions = saved["shard"], Revisions(saved["revisions"])
            inputs = {t: [np.frombuffer(r, self._dtype) for r in rows] for t, rows in saved["inputs"].items()}
            self._log.restore(saved["log"], tuple(States._make(each) for each in saved["states"]), inputs)

    def on_messages(self, messages: Iterable[Told]) -> list[Result | Climb]:
        """Take what batches told this shard; return results, and what goes up."""
        for told in messages:
            self._stage.number = told.key
            if "rows" in told.columns:
                self._take(told.columns["rows"].view(self._dtype))
            self._marks.put(told.partition, told.watermark_us, idle=told.idle)
        lateness_us = self._config.lateness_us
        closed_us, final_us = self._marks.closed_us - lateness_us, self._marks.final_us - lateness_us
        return self._stage.close(self._log, closed_us, min(closed_us, final_us))

    def snapshot(self) -> bytes:
        """Return the state as plain data."""
        state = {"shard": self._stage.number, "marks": self._marks.snapshot(), "log": self._log.snapshot()}
        state |= {
            "revisions": self._stage.revisions.snapshot(),
            "states": [list(each) for each in self._log.base],
        }
        inputs = {tick: [rows.tobytes() for rows in given] for tick, given in self._log.inputs.items()}
        return pack("block", _VERSION, state | {"inputs": inputs})

    def _take(self, rows: _Rows) -> None:
        ticks = rows["time_us"] // self._stage.tick_us
        for tick in np.unique(ticks).tolist():
            if self._log.touch(tick):
                self._log.inputs.setdefault(tick, []).append(rows[ticks == tick])

    def _step(self, states: _States, tick: int, given: list[_Rows]) -> tuple[_States, Callable[[], Tick]]:  # noqa: ARG002 (as of every step)
        rows, scales_us = np.concatenate(given), self._config.scales_us
        values = rows["values"].T
        valid = ~np.isnan(values)
        quantised = [
            m.quantise(np.ascontiguousarray(v)) for m, v in zip(self._config.metrics, values, strict=True)
        ]
        shape = (len(quantised), len(rows))
        steps, of = ground(rows["code"], rows["time_us"] // scales_us[0], np.reshape(quantised, shape), valid)
        after, levels = [], []
        for level, ratio in enumerate(_ratios(scales_us)):
            steps = coarsen(steps, ratio) if level else steps
            moved, steps, before = relax(states[level], steps, self._config.coupling)
            after.append(moved)
            levels.append((level, steps, before))
        return tuple(after), lambda: self._tick(rows, of, levels)

    def _tick(
        self, rows: _Rows, of: NDArray[np.intp], levels: Sequence[tuple[int, Steps, NDArray[np.int64]]]
    ) -> Tick:
        found = []
        for level, steps, before in levels:
            own = rows["level"] == level
            if level:
                agents = count_agents(steps, self._members(rows[own], level))
            else:
                agents = distinct(of[own], rows["agent_id"][own], len(steps.code))
            found.append(Level(level, steps, agents, before))
        higher = self._members(rows[rows["level"] > BLOCK_LEVEL], BLOCK_LEVEL)
        return Tick(found, np.unique(higher))

    def _members(self, rows: _Rows, level: int) -> Members:
        """Return in which steps of a level agents were."""
        members = np.empty(len(rows), MEMBER)
        members["agent_id"], members["level"] = rows["agent_id"], rows["level"]
        members["code"] = rows["code"] >> 3 * level
        members["step"] = rows["time_us"] // self._config.scales_us[level]
        return members


def _ratios(scales_us: Sequence[int]) -> list[int]:
    """Return how many steps of the level below a step of each level of a block has."""
    return [1, *(long // short for short, long in pairwise(scales_us[: BLOCK_LEVEL + 1]))]
