"""What a scenario must put out, computed from its records one event at a time and in plain Python."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import reference
from chaos.events import METRICS, Record

from kernels.panes import Window
from kernels.sessions import SessionWindow

__all__ = ["CELLS", "SESSIONS", "Expected", "expect", "values"]

_LATENESS_US = 300_000
_WINDOWS = (
    Window("second", 1_000_000, 1_000_000, _LATENESS_US),
    Window("three", 3_000_000, 1_000_000, _LATENESS_US),
)
_VISIT = SessionWindow("visit", 400_000, _LATENESS_US)
CELLS = {
    "second": (
        "count",
        "agents",
        *(f"{m.name}_{a}" for m in METRICS for a in ("count", "sum", "min", "max")),
    ),
    "three": ("count", *(f"{m.name}_{a}" for m in METRICS for a in ("count", "sum", "max"))),
}
"""What is compared of each window: all that is exact in any order of addition."""
SESSIONS = ("count", "end_us", *(f"{m.name}_{a}" for m in METRICS for a in ("count", "sum")))


class Expected(NamedTuple):
    """Result rows by their keys, each as its values; the places of late events and of dead letters; and the account."""

    cells: dict[tuple[Any, ...], tuple[Any, ...]]
    sessions: dict[tuple[Any, ...], tuple[Any, ...]]
    late: set[tuple[int, int, int]]
    dead: set[tuple[int, int, int]]
    account: dict[str, int]


def expect(parts: Mapping[int, Sequence[Record]]) -> Expected:
    """Return what the records of each partition lead to."""
    rows = {k: [row for record in records for row in record.rows] for k, records in parts.items()}
    counts, kept = reference.account(rows, (*_WINDOWS, _VISIT), dedup=True)  # type: ignore[arg-type]
    visits = kept.pop(_VISIT)  # type: ignore[call-overload]
    cells = reference.windows(kept, METRICS)
    late, dead = set(), set()
    for partition, records in parts.items():
        late |= {(partition, *place) for place in _late(records)}
        dead |= {(partition, offset, -1) for offset, record in enumerate(records) if not record.rows}
    counts["dead_letters"] = len(dead)
    counts["events_in"] = sum(map(len, rows.values())) + len(dead)
    return Expected(
        {key: values(row, CELLS[key[0]]) for key, row in cells.items()},
        {key: values(row, SESSIONS) for key, row in reference.sessions({_VISIT: visits}, METRICS).items()},
        late, dead, counts,
    )  # fmt: skip


def values(row: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    """Return values of a row, no value as None: NaN is not equal to itself."""
    return tuple(None if row[name] != row[name] else row[name] for name in names)


def _late(records: Sequence[Record]) -> set[tuple[int, int]]:
    """Return offset and row of the events that are behind their partition's latest by more than the lateness."""
    found, latest_us = set(), 0
    for offset, record in enumerate(records):
        for number, row in enumerate(record.rows):
            if latest_us - row.time_us > _LATENESS_US:
                found.add((offset, number))
            latest_us = max(latest_us, row.time_us)
    return found
