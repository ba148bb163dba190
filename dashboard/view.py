"""What is known of a running flow: fed by its outputs and by the events that pass, asked by queries and by the page.

A worker has one of what it has seen itself, and answers queries from it. The server has one of everything that the
workers, or the topics, have told it.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from dashboard.agents import Agents, History
from dashboard.windows import Windows
from operators.batch import Tally

__all__ = ["View"]

_ALERTS = 2_000
_CELL_BYTES = 256 * 2**20
_HISTORY_BYTES, _HISTORY_STEP_US = 128 * 2**20, 1_000_000
_LATEST = ("agents", "levels", "fields", "violations", "emergence", "directives")
_MINUTE_US = 60_000_000


@dataclass
class View:
    """The state of a flow as far as it was told.

    Parameters
    ----------
    agents
        The latest state of each.
    windows
        The newest cells.
    history
        Positions that agents had.
    alerts
        The newest ones, the oldest first, numbered by `alerts_seen`.
    tallies
        The account of each sink partition.
    counts
        Rows of each kind of result.
    latest
        Of each further kind of result the last table by what it is about.
    watermarks
        Of each source partition.
    """

    agents: Agents = field(default_factory=lambda: Agents(_MINUTE_US))
    windows: Windows = field(default_factory=lambda: Windows(_CELL_BYTES))
    history: History = field(default_factory=lambda: History(_HISTORY_BYTES, _HISTORY_STEP_US))
    alerts: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_ALERTS))
    alerts_seen: int = 0
    tallies: dict[int, Tally] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    latest: dict[str, dict[str, pa.Table]] = field(default_factory=dict)
    watermarks: dict[int, int] = field(default_factory=dict)
    agents_version: int = 0
    _known_alerts: set[tuple[Any, ...]] = field(default_factory=set)

    def take_events(self, columns: Mapping[str, np.ndarray], names: Mapping[int, str]) -> None:
        """Take in events of agents, in the order of each agent."""
        self.agents.take(columns, names)
        self.agents.compact()
        self.agents_version += 1

    def note_history(self) -> None:
        """Note where the agents are now."""
        self.history.take(self.agents.state(), self.agents.now_us)

    def take_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """Take in results: a table a kind, as `operators.result_tables` makes them."""
        for kind, table in tables.items():
            self.counts[kind] += table.num_rows
            if kind == "cells":
                self.windows.take(table)
            elif kind == "alerts":
                self._take_alerts(table)

    def tally(self) -> Tally:
        """Return the account over all sink partitions."""
        total = Tally()
        for tally in self.tallies.values():
            total.add(tally)
        return total

    def watermark_us(self) -> int | None:
        """Return the least watermark over the partitions that are known."""
        return min(self.watermarks.values(), default=None)

    def _take_alerts(self, table: pa.Table) -> None:
        for alert in table.to_pylist():
            key = tuple(alert[name] for name in ("kind", "agent_id", "time_us", "window", "cx", "cy", "cz"))
            if key in self._known_alerts:  # a worker that went on from a snapshot says it again
                continue
            if len(self.alerts) == self.alerts.maxlen:
                self._known_alerts.discard(self.alerts[0]["key"])
            self._known_alerts.add(key)
            self.alerts_seen += 1
            self.alerts.append(alert | {"number": self.alerts_seen, "key": key})
