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
import pyarrow.compute as pc
from numpy.typing import NDArray

from dashboard.agents import FIELDS as AGENTS
from dashboard.agents import Agents, History
from dashboard.newest import newest
from dashboard.pyramid import KINDS as LEVELS
from dashboard.pyramid import Pyramid
from dashboard.windows import Windows
from operators.alerts import FIELDS as ALERTS
from operators.batch import Tally
from operators.result import KINDS as FURTHER

__all__ = ["View"]

_ALERTS = 2_000
_CELL_BYTES = 256 * 2**20
_HISTORY_BYTES, _HISTORY_STEP_US = 128 * 2**20, 1_000_000
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
        Of each further kind of result the rows of the newest event time.
    pyramid
        The newest step of each level of the hierarchy.
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
    latest: dict[str, pa.Table] = field(default_factory=dict)
    pyramid: Pyramid = field(default_factory=Pyramid)
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
            elif kind == "violations":
                self._take_violations(table)
            elif kind in LEVELS:
                self.pyramid.take(kind, table)
            elif kind in FURTHER:
                self._take_newest(kind, table)

    def degradation(self) -> int | None:
        """Return the worst level at which the newest cells were made; None where none is recorded."""
        for window in self.windows.names():
            start_us = self.windows.latest(window)
            table = None if start_us is None else self.windows.cells(window, start_us)
            if table is not None and "degradation" in table.column_names and table.num_rows:
                found = pc.max(table["degradation"]).as_py()
                return None if found is None else int(found)
        return None

    def tally(self) -> Tally:
        """Return the account over all sink partitions."""
        total = Tally()
        for tally in self.tallies.values():
            total.add(tally)
        return total

    def watermark_us(self) -> int | None:
        """Return the least watermark over the partitions that are known."""
        return min(self.watermarks.values(), default=None)

    def newest(self, kind: str, column: str) -> NDArray[Any] | None:
        """Return a column of the newest rows of a further kind; None if there is none."""
        table = self.latest.get(kind)
        if table is None or column not in table.column_names or not table.num_rows:
            return None
        values: NDArray[Any] = table[column].to_numpy()
        return values

    def _take_newest(self, kind: str, table: pa.Table) -> None:
        """Keep the rows of the newest event time."""
        if kind == "agents":
            told = table.filter(pc.is_valid(table["time_us"]))  # from several shards, each in its own order
            told = told.take(pa.array(np.argsort(told["time_us"].to_numpy(), kind="stable")))
            self.take_events(
                {name: told[name].to_numpy() for name in told.column_names if name in AGENTS}, {}
            )
        if (rows := newest(self.latest.get(kind), table)) is not None:
            self.latest[kind] = rows

    def _take_violations(self, table: pa.Table) -> None:
        """Take broken invariants as alerts: the value is the score, its bound the threshold."""
        rows = []
        for row in table.filter(pc.is_valid(table["time_us"])).to_pylist():
            slot = self.agents.find(row["agent_id"]) if row["agent_id"] else None
            place = (
                {}
                if slot is None
                else {n: float(self.agents.state()[n][slot]) for n in ("x_m", "y_m", "z_m")}
            )
            said = {"kind": "agent" if row["agent_id"] else "invariant", "time_us": row["time_us"]}
            said |= {"agent_id": row["agent_id"] or None, "score": row["value"], "threshold": row["bound"]}
            rows.append(
                dict.fromkeys(ALERTS) | said | place | {"reason": f"{row['invariant']}: {row['reason']}"}
            )
        if rows:
            self._take_alerts(pa.Table.from_pylist(rows))

    def _take_alerts(self, table: pa.Table) -> None:
        for alert in table.to_pylist():
            key = tuple(
                alert.get(name)
                for name in ("kind", "agent_id", "time_us", "window", "cx", "cy", "cz", "model")
            )
            if key in self._known_alerts:  # a worker that went on from a snapshot says it again
                continue
            if len(self.alerts) == self.alerts.maxlen:
                self._known_alerts.discard(self.alerts[0]["key"])
            self._known_alerts.add(key)
            self.alerts_seen += 1
            self.alerts.append(alert | {"number": self.alerts_seen, "key": key})
