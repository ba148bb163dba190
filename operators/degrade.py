"""A flow that does less where it has been decided to: put around the engine's calls, so that without it nothing is there.

    source     from `minor` on nothing is traced; from `major` on nine agents in ten are left out, by their hash; they are
               counted as shed
    cells      from `major` on a sliding window has every second of its starts only; of windows over a sample counts and
               sums are multiplied by ten and given their relative standard `error`; a window that is half sampled is left
               out, since its counts would mean nothing; every row has the level that was the highest in its window, in the
               column `degradation`, and its error, which is 0 for what is exact
    parts      from `critical` on none but the cells and the safety get events; from `major` on safety asks for no causes and
               judges no mix of levels, since what is not in the sample would be missed
    sink       from `minor` on results of the kinds in `OPTIONAL` are left out, all but one in so many; others are marked

Everything follows from event time and the decisions, so it comes out the same however often it is done.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.lateness import END_US, START_US
from kernels.panes import Window
from kernels.sampling import in_sample, relative_error
from operators.batch import Alerts, Batch, take
from operators.cells import Cells
from operators.closing import Closed
from operators.decisions import DecisionLog, Schedule
from operators.result import Result
from operators.session import Sessions
from operators.wrap import Call, Site

__all__ = ["CRITICAL", "MAJOR", "MINOR", "OPTIONAL", "SAMPLE", "Degrade"]

MINOR, MAJOR, CRITICAL = 1, 2, 3
SAMPLE = 10
"""One agent in so many."""
OPTIONAL = {"agents": 0, "neighbours": 0, "fields": 4}
"""Kinds of results that are optional: one in so many is kept; 0: none."""


class Degrade:
    """Puts the decisions of a log into effect.

    Parameters
    ----------
    log
        The decisions.
    windows
        By name.
    gated
        Steps that go without events from a level on.
    asks
        Steps that ask for the causes of events, and how far back: those of a sample may be left out, so nothing is asked.
    field_us
        Between two results of the fields.
    """

    def __init__(
        self,
        log: DecisionLog,
        windows: Mapping[str, Window],
        *,
        gated: Mapping[str, int],
        asks: Mapping[str, int],
        field_us: int,
    ) -> None:
        self._log, self._windows, self._field_us = log, windows, field_us
        self._gated, self._asks = gated, asks
        self._schedule, self._next_us = Schedule(), START_US

    def around(self, site: Site, call: Call) -> Call:
        """Return what is called in place of `call`."""
        if site.method == "next_batch":
            return lambda: [self.shed(batch) for batch in call()]
        if (site.step, site.method) == ("cells", "map"):
            return lambda items: self._levelled(call(self._scaled(items)))
        if site.method == "map" and (least := self._gated.get(site.step)) is not None:
            return lambda items: call([self.gate(item, least) for item in items])
        if site.method == "map" and (reach_us := self._asks.get(site.step)) is not None:
            return lambda items: call([self.mute(item, reach_us) for item in items])
        if site.method == "write_batch":
            return lambda values: call([self._marked(value) for value in values if self.keeps(value)])
        return call

    def shed(self, batch: Batch) -> Batch:
        """Leave out the agents that are not in the sample, in the time that is sampled; pass borders."""
        if self._next_us <= batch.watermark_us < END_US:
            self._schedule, self._next_us = self._log.cross(batch.watermark_us)
        if not len(self._schedule):
            return batch
        if batch.trace and self._schedule.at(batch.watermark_us).level >= MINOR:
            batch.trace = ""
        if not len(batch):
            return batch
        sampled = self._schedule.levels(batch.columns["time_us"]) >= MAJOR
        if sampled.any():
            batch.tally.shed += batch.keep(~sampled | in_sample(batch.columns["agent_id"], SAMPLE))
        return batch

    def gate(self, batch: Batch, least: int) -> Batch:
        """Return a batch without the events of times of a level or above, for a step that is not needed then."""
        if not len(self._schedule) or not len(batch):
            return batch
        gone = self._schedule.levels(batch.columns["time_us"]) >= least
        if not gone.any():
            return batch
        behind_us = None if batch.behind_us is None else batch.behind_us[~gone]
        return replace(batch, columns=take(batch.columns, ~gone), behind_us=behind_us)

    def mute(self, batch: Batch, reach_us: int) -> Batch:
        """Return a batch whose events name no cause, where that may not be in the sample."""
        if not len(self._schedule) or "cause_seq" not in batch.columns:
            return batch
        time_us, seq = batch.columns["time_us"], batch.columns["cause_seq"]
        muted, decisions = np.zeros(len(time_us), np.bool_), self._schedule.decisions
        ends_us = [decision.from_us for decision in decisions[1:]] + [END_US - reach_us]
        for decision, end_us in zip(decisions, ends_us, strict=True):
            if decision.level >= MAJOR:
                muted |= (time_us >= decision.from_us) & (time_us < end_us + reach_us)
        return replace(
            batch, columns=batch.columns | {"cause_seq": np.where(muted, 0, seq).astype(seq.dtype)}
        )

    def keeps(self, value: Any) -> bool:
        """Return whether an output goes out."""
        if not isinstance(value, Result) or value.kind not in OPTIONAL or not len(value):
            return True
        time_us, one_in = int(value.columns["time_us"][0]), OPTIONAL[value.kind]
        if self._log.schedule.at(time_us).level < MINOR:
            return True
        return one_in > 0 and time_us // self._field_us % one_in == 0

    def _marked(self, value: Any) -> Any:
        """Return an output with the level that it was made at; cells have theirs in a column by now."""
        schedule = self._log.schedule
        if isinstance(value, Alerts):
            return Alerts([row | {"degradation": schedule.at(row["time_us"]).level} for row in value.rows])
        if isinstance(value, Sessions):
            spans = zip(value.columns["start_us"].tolist(), value.columns["end_us"].tolist(), strict=True)
            levels = np.array([schedule.worst(*span) for span in spans], np.int8)
            return replace(value, columns=value.columns | {"degradation": levels})
        if not isinstance(value, Result) or not len(value):
            return value
        return replace(value, degradation=schedule.at(int(value.columns["time_us"][0])).level)

    def _scaled(self, items: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        schedule = self._log.schedule
        if not len(schedule):
            return items
        return [
            (key, self._scale(each, schedule) if isinstance(each, Closed) else each) for key, each in items
        ]

    def _scale(self, closed: Closed, schedule: Schedule) -> Closed:
        """Return the sums of whole windows: those of a sample multiplied, those of both and every second start left out."""
        window = self._windows[closed.window]
        length_us = window.length_us
        worst = _by_start(closed.start_us, lambda start_us: schedule.worst(start_us, start_us + length_us))
        least = _by_start(closed.start_us, lambda start_us: schedule.least(start_us, start_us + length_us))
        gone = (worst >= MAJOR) & (least < MAJOR)
        if window.slide_us < length_us:
            gone |= (least >= MAJOR) & (closed.start_us // window.slide_us % 2 == 1)
        if gone.any():
            kept = np.flatnonzero(~gone)
            agents = None if closed.agents is None else closed.agents[kept]
            merged = None if closed.merged is None else closed.merged[kept]
            closed = closed._replace(
                start_us=closed.start_us[kept], rank=closed.rank[kept], agents=agents,
                ints=closed.ints[:, kept], floats=closed.floats[:, kept], revision=closed.revision[kept],
                merged=merged,
            )  # fmt: skip
            worst = worst[kept]
        times = np.where(worst >= MAJOR, SAMPLE, 1)
        agents = None if closed.agents is None else closed.agents * times
        return closed._replace(ints=closed.ints * times, agents=agents)

    def _levelled(self, found: Any) -> list[tuple[str, Any]]:
        """Return results, each row with its level, and where it is an estimate with its error."""
        outputs, schedule = list(found), self._log.schedule
        for _, cells in outputs:
            if isinstance(cells, Cells):
                cells.columns = cells.columns | _columns(cells, schedule)
        return outputs


def _columns(cells: Cells, schedule: Schedule) -> dict[str, NDArray[Any]]:
    """Return the level and the error of each row; both always: which rows come together must change no row's bytes."""
    if not len(schedule):
        return {"degradation": np.zeros(len(cells), np.int8), "error": np.zeros(len(cells), np.float32)}
    start_us = cells.columns["start_us"]
    length_us = int(cells.columns["end_us"][0] - start_us[0]) if len(cells) else 0
    level = _by_start(start_us, lambda start: schedule.worst(start, start + length_us))
    agents = cells.columns["agents"]
    seen = np.where(agents > 0, agents, cells.columns["count"]) // SAMPLE
    error = np.zeros(len(cells), np.float32)
    error[level >= MAJOR] = relative_error(seen[level >= MAJOR], SAMPLE)
    return {"degradation": level.astype(np.int8), "error": error}


def _by_start(start_us: NDArray[np.int64], of: Callable[[int], int]) -> NDArray[np.int64]:
    """Return (K,) what `of` says of each of (K,) starts, asked once for each different one."""
    starts, place = np.unique(start_us, return_inverse=True)
    return np.array([of(int(start)) for start in starts], np.int64)[place]
