"""What a process of the flow tells the server, and answers to it: from a view of what passes and a thread of its own.

The flow never waits for it: when nobody listens, or not fast enough, what is newer takes the place of what is not sent.
"""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from pydantic import TypeAdapter

from dashboard.meter import TIMED, Graph, Meter
from dashboard.queries import Query, answer, cut
from dashboard.view import View
from dashboard.wire import HEADER, pack, pack_columns, pack_table, size_of, unpack
from kernels.errors import BadRecord
from kernels.lateness import END_US, START_US
from operators.batch import Batch, Tally
from operators.cells import Cells
from operators.result_tables import Output, Row, tables_of
from operators.withdrawn import Withdrawn
from operators.wrap import Call, Site

__all__ = ["PUBLISH_S", "WorkerFeed"]

PUBLISH_S = 0.25
"""Time between two pieces of news."""
_RETRY_S, _SEND_S = 0.5, 5.0
_QUERY: TypeAdapter[Any] = TypeAdapter(Query)
_UNSENT = (
    20_000  # alerts, late events and dead letters that wait for a server; of more the oldest are dropped
)


class WorkerFeed:
    """Looks on in one process.

    Parameters
    ----------
    path
        The server's socket.
    worker
        Its number.
    lateness_us
        Of each window, by name.
    expire_us
        An agent that is silent for so long is gone.
    """

    def __init__(self, path: Path, worker: int, lateness_us: Mapping[str, int], expire_us: int) -> None:
        self._path, self._lateness_us, self._worker = path, dict(lateness_us), worker
        self._view, self._lock = View(), threading.Lock()
        self._view.agents.expire_us = expire_us
        self._pending: list[Row] = []
        self._unsent: list[Row] = []
        self._named: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._reached: dict[tuple[int, int], float] = {}
        self._closed: dict[int, float] = {}
        self._meters: dict[str, Meter] = {}
        self._health: Mapping[str, Any] | None = None
        self._told_health: Mapping[str, Any] | None = None
        self.graph: Graph = ([], [])

    def start(self) -> None:
        """Begin to tell."""
        threading.Thread(target=self._serve, name="dashboard", daemon=True).start()

    def around(self, site: Site, call: Call) -> Call:
        """Return a call of the engine that is measured; what the steps of the account and of the sink take is seen."""
        if site.method not in TIMED:
            return call
        metered = self._meters.setdefault(site.step, Meter()).around(call)
        if site.step == "account":
            return self._seeing(metered)
        if site.method == "write_batch":
            return self._writing(metered, site.part)
        return metered

    def _seeing(self, call: Call) -> Call:
        def see(batches: list[Batch]) -> Any:
            for batch in batches:
                self.events(batch)
            return call(batches)

        return see

    def _writing(self, call: Call, part: Any) -> Call:
        def write(values: list[Output]) -> Any:
            found = call(values)
            self.results(part.number, values, part.tally)
            return found

        return write

    def events(self, batch: Batch) -> None:
        """See a batch behind the row stages."""
        with self._lock:
            if len(batch):
                names = batch.names if len(batch.names) != self._named.get(batch.partition, 0) else {}
                if names:
                    self._named[batch.partition] = len(names)
                    self._names |= names
                self._view.take_events(batch.columns, names)
            if START_US < batch.watermark_us < END_US:
                before = self._view.watermarks.get(batch.partition)
                self._view.watermarks[batch.partition] = batch.watermark_us
                if before != batch.watermark_us:
                    self._reached[batch.partition, batch.watermark_us] = time.monotonic()

    def results(self, partition: int, values: Sequence[Output], tally: Tally) -> None:
        """See what a sink partition has taken."""
        now_s = time.monotonic()
        with self._lock:
            self._view.tallies[partition] = tally
            for value in values:
                if isinstance(value, Tally):
                    continue
                if isinstance(value, Cells) and len(value):
                    window = value.windows[int(value.columns["window"][0])]
                    close_us = int(value.columns["end_us"].max()) + self._lateness_us.get(window, 0)
                    self._closed[close_us] = now_s
                self._pending.append(value)

    def take_health(self, report: Mapping[str, Any]) -> None:
        """Take the newest report on the flow, to be told with the next news."""
        self._health = report

    def _serve(self) -> None:
        while True:
            with contextlib.suppress(OSError, BadRecord), socket.socket(socket.AF_UNIX) as link:
                link.settimeout(_SEND_S)
                link.connect(os.fspath(self._path))
                link.sendall(self._hello())
                self._talk(link)
            self._take_in()
            time.sleep(_RETRY_S)

    def _talk(self, link: socket.socket) -> None:
        due_s = time.monotonic()
        while True:
            left_s = max(0.0, due_s - time.monotonic())
            if select.select([link], [], [], left_s)[0]:
                link.sendall(self._answer(unpack(_read(link, size_of(_read(link, HEADER.size))))))
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + PUBLISH_S
                link.sendall(self._news())

    def _hello(self) -> bytes:
        """Return who this is and all that it knows: the server may have begun just now."""
        with self._lock:
            self._view.agents.changed[: len(self._view.agents)] = True
            self._names = dict(self._view.agents.names)
            tables = self._view.windows.dump()
        self._told_health = None
        steps, edges = self.graph
        hello = {"type": "hello", "worker": self._worker, "pid": os.getpid(), "steps": steps, "edges": edges}
        return pack(hello | {"cells": [pack_table(table) for table in tables]})

    def _news(self) -> bytes:
        with self._lock:
            agents, names = self._view.agents.drain(), self._names
            reached, closed = self._reached, self._closed
            self._names, self._reached, self._closed = {}, {}, {}
            tallies = {number: astuple(tally) for number, tally in self._view.tallies.items()}
            marks = dict(self._view.watermarks)
        cells = self._take_in()
        tables = tables_of(self._unsent) | ({} if cells is None else {"cells": cells})
        self._unsent = []
        process = psutil.Process()
        times = process.cpu_times()
        news = {
            "type": "news", "agents": pack_columns(agents), "names": names, "tallies": tallies,
            "tables": {kind: pack_table(table) for kind, table in tables.items()},
            "watermarks": marks, "reached": [[*key, at_s] for key, at_s in reached.items()],
            "closed": list(closed.items()), "rss_bytes": process.memory_info().rss,
            "cpu_s": times.user + times.system,
            "steps": {name: astuple(meter) for name, meter in self._meters.items()},
        }  # fmt: skip
        if (health := self._health) is not self._told_health:
            news["health"], self._told_health = health, health
        return pack(news)

    def _take_in(self) -> pa.Table | None:
        """Take the cells that have come into the view, the rest to what is to be sent; return the cells."""
        with self._lock:
            pending, self._pending = self._pending, []
        cells = tables_of([row for row in pending if isinstance(row, Cells | Withdrawn)])
        self._unsent += [row for row in pending if not isinstance(row, Cells | Withdrawn)]
        del self._unsent[:-_UNSENT]
        with self._lock:
            self._view.take_tables(cells)
        return cells.get("cells")

    def _answer(self, message: dict[str, Any]) -> bytes:
        start_s = time.perf_counter()
        query = _QUERY.validate_python(message["query"])
        with self._lock:
            table = answer(self._view, query)
        part = cut(table, query.max_bytes)
        took_ms = round((time.perf_counter() - start_s) * 1e3, 3)
        found = {"type": "answer", "id": message["id"], "table": pack_table(part), "took_ms": took_ms}
        return pack(found | {"cut": part.num_rows < table.num_rows})


def _read(link: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = link.recv(min(size - len(data), 2**20))
        if not part:
            raise OSError("the server has gone")
        data += part
    return bytes(data)
