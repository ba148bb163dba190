"""One of the upper levels of the hierarchy, of the whole world: the steps of the level below in, its own out and up."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kernels.lateness import START_US
from kernels.pyramid import States, Steps, coarsen, join_steps, relax
from operators.level_results import Level, LevelsConfig
from operators.level_stage import MEMBER, Climb, Members, Stage, Tick, count_agents
from operators.result import Result
from operators.revisions import Revisions
from operators.state import pack, unpack
from operators.tick_log import TickLog

__all__ = ["Upper"]

_VERSION = 2
_Part = tuple[Steps, Members]  # what a sender told of a tick


class Upper:
    """One level, without an engine.

    Parameters
    ----------
    config
        Of the hierarchy.
    level
        Which.
    senders
        How many stages tell it of the level below.
    state
        What `snapshot` returned, or None at the start.
    """

    def __init__(self, config: LevelsConfig, level: int, senders: int, state: bytes | None = None) -> None:
        self._config, self._stage, self._senders = config, Stage(config, level), senders
        self._stage.number = 0
        self._below_us = config.scales_us[level - 1]
        empty = States.empty(len(config.metrics))
        self._log = TickLog[States, dict[int, _Part], Tick](empty, self._step)
        self._times: dict[int, list[int]] = {}  # by sender: open_us, final_us
        if state is not None:
            saved = unpack(f"level_{level}", _VERSION, state)
            self._times, self._stage.revisions = saved["times"], Revisions(saved["revisions"])
            inputs = {t: {s: _part(p) for s, p in given.items()} for t, given in saved["inputs"].items()}
            self._log.restore(saved["log"], States._make(saved["states"]), inputs)

    def on_messages(self, messages: Iterable[Climb]) -> list[Result | Climb]:
        """Take what the level below says; return results, and what goes up."""
        for climb in messages:
            self._take(climb)
        if len(self._times) < self._senders:
            return []
        open_us, final_us = (min(column) for column in zip(*self._times.values(), strict=True))
        return self._stage.close(self._log, open_us, final_us)

    def snapshot(self) -> bytes:
        """Return the state as plain data."""
        inputs = {
            tick: {sender: [list(steps), members.tobytes()] for sender, (steps, members) in given.items()}
            for tick, given in self._log.inputs.items()
        }
        state = {"times": self._times, "log": self._log.snapshot(), "states": list(self._log.base)}
        state |= {"revisions": self._stage.revisions.snapshot(), "inputs": inputs}
        return pack(f"level_{self._stage.level}", _VERSION, state)

    def _take(self, climb: Climb) -> None:
        if climb.from_us < self._times.get(climb.sender, [START_US])[0]:
            self._forget(climb.sender, climb.from_us)
        self._times[climb.sender] = [climb.open_us, climb.final_us]
        members = climb.members.view(MEMBER)
        ticks, own = (self._ticks_of(each) for each in (climb.steps.step, members["step"]))
        for tick in np.unique(ticks).tolist():
            if self._log.touch(tick):
                told = (climb.steps.at(ticks == tick), members[own == tick])
                given = self._log.inputs.setdefault(tick, {})
                given[climb.sender] = _joined(given[climb.sender], told) if climb.sender in given else told

    def _forget(self, sender: int, from_us: int) -> None:
        """Drop what a sender told of `from_us` and later."""
        first_step = from_us // self._below_us
        for tick in [t for t in self._log.inputs if t >= from_us // self._stage.tick_us]:
            given = self._log.inputs[tick]
            if sender in given:
                steps, members = given[sender]
                given[sender] = (steps.at(steps.step < first_step), members[members["step"] < first_step])
                self._log.touch(tick)

    def _ticks_of(self, step: np.ndarray) -> np.ndarray:
        return step * self._below_us // self._stage.tick_us

    def _step(
        self,
        states: States,
        tick: int,  # noqa: ARG002 (as of every step)
        given: Mapping[int, _Part],
    ) -> tuple[States, Callable[[], Tick]]:
        level = self._stage.level
        ratio = self._config.scales_us[level] // self._below_us
        children = join_steps([steps for steps, _ in given.values()])
        after, steps, before = relax(states, coarsen(children, ratio), self._config.coupling)
        return after, lambda: self._tick(steps, before, [members for _, members in given.values()], ratio)

    def _tick(self, steps: Steps, before: np.ndarray, below: Sequence[Members], ratio: int) -> Tick:
        members = np.concatenate(below)
        members["code"], members["step"] = members["code"] >> 3, members["step"] // ratio
        own = members["level"] == self._stage.level
        agents = count_agents(steps, members[own])
        return Tick([Level(self._stage.level, steps, agents, before)], np.unique(members[~own]))


def _part(saved: Sequence[Any]) -> _Part:
    steps, members = saved
    return Steps._make(steps), np.frombuffer(members, MEMBER)


def _joined(before: _Part, told: _Part) -> _Part:
    return join_steps([before[0], told[0]]), np.concatenate([before[1], told[1]])
