"""A state that moves on tick by tick of event time, each tick from the one before: the fields, and the emergence.

    run         a tick is run once `closed_us` has passed its end and the lateness (operators.watermarks)
    amend       what an idle partition brings for a tick that has been run, but is not final, makes the state go back to a
                copy from before that tick, and run again; what was published from there on is said again, revision + 1
    drop        what comes for a tick that is final is left out
    publish     at the end of every `publish_ticks` ticks in which something came
    rest        when nothing has come for `rest_ticks`, the state is as at the start, until something comes

So what is published, in its last revision, is a function of the events alone. Copies are only made while a partition is
idle: a state is as large as the fields.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from kernels.lateness import END_US, START_US
from operators.result import Result
from operators.revisions import Revisions
from operators.state import pack, unpack
from operators.watermarks import Told, Watermarks

__all__ = ["Machine", "Part", "Recurrence", "RecurrenceConfig"]

_VERSION = 2

Part = Mapping[str, Any]
"""What a message brought for one tick: arrays by name."""


class Machine(Protocol):
    """What moves on."""

    def parts(self, told: Told) -> Iterator[tuple[int, Part]]:
        """Split what a message says by tick."""

    def step(self, parts: Sequence[Part]) -> None:
        """Move on by one tick; the order of the parts must not matter."""

    def results(self, time_us: int) -> list[Result]:
        """Return what is published at the end of a tick, and of which there may have been rows at a revision before."""

    def reset(self) -> None:
        """Be as at the start."""

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data that later steps do not change."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state that `snapshot` returned, and leave that as it is."""


@dataclass(frozen=True, slots=True)
class RecurrenceConfig:
    """When ticks are run.

    Parameters
    ----------
    name
        For the saved state.
    tick_us, lateness_us
        Length of a tick, and how much later it is run.
    publish_ticks, rest_ticks
        As above; a rest takes at least as long as from one publication to the next.
    partitions
        Source partitions.
    horizon_us
        How long after it was run a tick can be amended, in event time.
    """

    name: str
    tick_us: int
    lateness_us: int
    publish_ticks: int
    rest_ticks: int
    partitions: int
    horizon_us: int


class _Place(NamedTuple):
    """Where the state is: its tick, the last one that something came for, whether that is published, whether it rests."""

    tick: int
    last: int
    due: bool
    resting: bool


class Recurrence:
    """The ticks of one machine, without an engine.

    Parameters
    ----------
    config
        When ticks are run.
    machine
        What runs them, as at the start.
    state
        What `snapshot` returned, or None at the start.
    """

    def __init__(self, config: RecurrenceConfig, machine: Machine, state: bytes | None = None) -> None:
        self._config, self._machine = config, machine
        start = START_US // config.tick_us
        self._at = _Place(start, start, due=False, resting=True)
        self._parts: dict[int, list[Part]] = {}
        self._open: list[int] = []  # ticks with parts that have not been run, rising
        self._copies: list[tuple[_Place, dict[str, Any]]] = []
        self._revisions = Revisions()  # by the ends of ticks
        self._marks = Watermarks(config.partitions, config.horizon_us)
        if state is not None:
            self._restore(unpack(config.name, _VERSION, state))

    def on_messages(self, messages: Iterable[Told]) -> list[Result]:
        """Take what batches told; return what is published."""
        amended = None
        final = self._last(self._marks.final_us)
        for told in messages:
            for tick, part in self._machine.parts(told):
                if tick <= final:
                    continue
                if tick not in self._parts and tick > self._at.tick:
                    insort(self._open, tick)
                self._parts.setdefault(tick, []).append(part)
                if tick <= self._at.tick:
                    amended = tick if amended is None else min(amended, tick)
            self._marks.put(told.partition, told.watermark_us, idle=told.idle)
        found = [] if amended is None else self._amend(amended)
        closed, final = (self._last(at_us) for at_us in (self._marks.closed_us, self._marks.final_us))
        found += self._run_to(closed, final)
        self._forget(final)
        return found

    def snapshot(self) -> bytes:
        """Return the state as plain data."""
        state = {
            "at": list(self._at),
            "parts": [[tick, [dict(part) for part in parts]] for tick, parts in self._parts.items()],
            "copies": [[list(place), copy] for place, copy in self._copies],
            "revisions": self._revisions.snapshot(),
            "marks": self._marks.snapshot(),
            "machine": self._machine.snapshot(),
        }
        return pack(self._config.name, _VERSION, state)

    def _restore(self, state: dict[str, Any]) -> None:
        self._at = _Place(*state["at"])
        self._parts = {tick: list(parts) for tick, parts in state["parts"]}
        self._open = sorted(tick for tick in self._parts if tick > self._at.tick)
        self._copies = [(_Place(*place), copy) for place, copy in state["copies"]]
        self._revisions = Revisions(state["revisions"])
        self._marks = Watermarks(self._config.partitions, self._config.horizon_us, state["marks"])
        self._machine.restore(state["machine"])

    def _last(self, at_us: int) -> int:
        """Return the last tick that ends by `at_us`, the lateness included."""
        config = self._config
        if at_us < END_US:
            return (at_us - config.lateness_us) // config.tick_us - 1
        # At the end of the input: up to the next publication, which is as far as anything that came is told of.
        last = max(self._parts, default=self._at.tick)
        return max(
            last // config.publish_ticks * config.publish_ticks + config.publish_ticks - 1, self._at.tick
        )

    def _run_to(self, last: int, final: int, *, told_from: int | None = None) -> list[Result]:
        """Run the ticks up to `last`; publish those from `told_from` on."""
        found: list[Result] = []
        while self._at.tick < last:
            if self._at.tick >= final:
                self._copy()
            if self._at.resting and (rested := self._rest_until(last, final)) > self._at.tick:
                self._at = self._at._replace(tick=rested)
                continue
            tick = self._at.tick + 1
            found += self._run(tick, told=told_from is None or tick >= told_from)
        return found

    def _rest_until(self, last: int, final: int) -> int:
        """Return the last tick of a rest: before the next that something came for; not past `final` without a copy."""
        until = min(self._open[0] - 1, last) if self._open else last
        return min(until, final) if self._at.tick < final else until

    def _run(self, tick: int, *, told: bool) -> list[Result]:
        config = self._config
        if self._open and self._open[0] == tick:
            del self._open[0]
        parts = self._parts.get(tick, [])
        self._machine.step(parts)
        last, due = (tick, True) if parts else (self._at.last, self._at.due)
        found: list[Result] = []
        if due and (tick + 1) % config.publish_ticks == 0:
            found, due = self._publish((tick + 1) * config.tick_us) if told else [], False
        resting = tick - last >= config.rest_ticks
        if resting:
            self._machine.reset()
        self._at = _Place(tick, last, due, resting)
        return found

    def _publish(self, time_us: int) -> list[Result]:
        return list(self._revisions.number(time_us, self._machine.results(time_us)))

    def _copy(self) -> None:
        """Keep the state, unless the last copy is near enough to run from."""
        horizon = self._config.horizon_us // self._config.tick_us
        if not self._copies or self._at.tick - self._copies[-1][0].tick > horizon:
            self._copies.append((self._at, self._machine.snapshot()))

    def _amend(self, tick: int) -> list[Result]:
        """Go back to before `tick`, and run again to where the state was."""
        last = self._at.tick
        while self._copies[-1][0].tick >= tick:
            self._copies.pop()
        self._at, state = self._copies[-1]
        self._machine.restore(state)
        self._open = sorted(t for t in self._parts if t > self._at.tick)
        return self._run_to(last, self._at.tick, told_from=tick)

    def _forget(self, final: int) -> None:
        """Drop what is kept for amendments that can no longer be."""
        if final >= self._at.tick:
            self._copies.clear()
        while len(self._copies) > 1 and self._copies[1][0].tick <= final:
            self._copies.pop(0)
        first = self._copies[0][0].tick if self._copies else self._at.tick
        for tick in [t for t in self._parts if t <= first]:
            del self._parts[tick]
        self._revisions.forget((first + 1) * self._config.tick_us + 1)
