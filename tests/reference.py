"""The slow obvious version of the flow of cells: one event at a time, in plain Python, with exact fractions."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from kernels.metric import Metric
from kernels.panes import Window
from kernels.sessions import SessionWindow

__all__ = ["Row", "account", "agree", "sessions", "windows"]


class Row(NamedTuple):
    """One event: agent, time, cell, metric values (None: no value)."""

    agent_id: int
    time_us: int
    seq: int
    cell: tuple[int, int, int]
    values: tuple[float | None, ...]


def account(
    partitions: Mapping[int, Sequence[Row]],
    windows: Sequence[Window],
    *,
    dedup: bool = False,
    max_jump_us: int | None = None,
) -> tuple[dict[str, int], dict[Window, list[Row]]]:
    """Return what became of every event, and the events that each window counts."""
    counts = dict.fromkeys(("windowed", "late", "duplicates", "dead_letters"), 0)
    kept: dict[Window, list[Row]] = {w: [] for w in windows}
    for rows in partitions.values():
        latest, seen = None, set()
        for row in rows:
            behind = 0 if latest is None else max(latest - row.time_us, 0)
            if latest is not None and max_jump_us is not None and row.time_us > latest + max_jump_us:
                counts["dead_letters"] += 1
                continue
            latest = row.time_us if latest is None else max(latest, row.time_us)
            identity = (row.agent_id, row.time_us, row.seq)
            if behind > max(w.lateness_us for w in windows):
                counts["late"] += 1
            elif dedup and identity in seen:
                counts["duplicates"] += 1
            else:
                counts["windowed"] += 1
                seen.add(identity)
                for window in windows:
                    if behind <= window.lateness_us:
                        kept[window].append(row)
    return counts, kept


def windows(
    kept: Mapping[Window, Sequence[Row]], metrics: Sequence[Metric]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the result rows by (window, start, cx, cy, cz)."""
    cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for window, rows in kept.items():
        for row in rows:
            last = row.time_us // window.slide_us
            first = -((window.length_us - row.time_us - 1) // window.slide_us)
            for k in range(first, last + 1):
                start = k * window.slide_us
                if start <= row.time_us < start + window.length_us:
                    cells[window.name, start, *row.cell].append(row)
    return {key: _statistics(rows, metrics) for key, rows in cells.items()}


def sessions(
    kept: Mapping[SessionWindow, Sequence[Row]], metrics: Sequence[Metric]
) -> dict[tuple[str, int, int], dict[str, Any]]:
    """Return the sessions by (window, agent, start): rows of one agent that are closer than the gap."""
    found = {}
    for window, rows in kept.items():
        for agent in {row.agent_id for row in rows}:
            events = sorted((row for row in rows if row.agent_id == agent), key=lambda row: row.time_us)
            session = [events[0]]
            for event in [*events[1:], None]:
                if event is not None and event.time_us - session[-1].time_us < window.gap_us:
                    session.append(event)
                    continue
                key = (window.name, agent, session[0].time_us)
                end_us = session[-1].time_us + window.gap_us
                found[key] = {**_statistics(session, metrics), "end_us": end_us}
                session = [event] if event is not None else []
    return found


def _statistics(rows: Sequence[Row], metrics: Sequence[Metric]) -> dict[str, Any]:
    found: dict[str, Any] = {"count": len(rows), "agents": len({row.agent_id for row in rows})}
    for number, metric in enumerate(metrics):
        values = [row.values[number] for row in rows if row.values[number] is not None]
        steps = [round(Fraction(v) * Fraction(metric.scale)) for v in values]  # round() is to even
        n, s = len(steps), sum(steps)
        found[f"{metric.name}_count"] = n
        found[f"{metric.name}_sum"] = float(Fraction(s) / Fraction(metric.scale))
        mean = Fraction(s, n) if n else None
        var = sum((q - mean) ** 2 for q in steps) / n if n and mean is not None else None
        scale = Fraction(metric.scale)
        found[f"{metric.name}_mean"] = math.nan if mean is None else float(mean / scale)
        found[f"{metric.name}_var"] = math.nan if var is None else float(var / scale**2)
        found[f"{metric.name}_min"] = min(values, default=math.nan)
        found[f"{metric.name}_max"] = max(values, default=math.nan)
    return found


def agree(
    agents: Sequence[tuple[int, float, int]], groups: int, metric: Metric
) -> list[tuple[Fraction | None, int, int]]:
    """Return for each group the mean of its agents' values, the option with most votes (-1: none), and the votes for it.

    An agent is (group, value or NaN, vote or -1). The mean is rounded to float64.
    """
    found = []
    for group in range(groups):
        values = [Fraction(v) for g, v, _ in agents if g == group and not math.isnan(v)]
        steps = [round(v * Fraction(metric.scale)) for v in values]
        mean = Fraction(sum(steps) / (len(steps) * metric.scale)) if steps else None
        votes = [vote for g, _, vote in agents if g == group and vote >= 0]
        top = max((votes.count(vote) for vote in votes), default=0)
        choice = min((vote for vote in votes if votes.count(vote) == top), default=-1)
        found.append((mean, choice, top))
    return found
