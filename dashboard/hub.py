"""The server's side of the workers: takes their news into the view, and puts questions to all of them at once."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dashboard.curves import Curves, Latency
from dashboard.elsewhere import Elsewhere
from dashboard.health import Report, Said
from dashboard.meter import Meter
from dashboard.queries import AgentsQuery, AlertsQuery, CellsQuery, HistoryQuery, answer, cut, merge
from dashboard.view import View
from dashboard.wire import HEADER, pack, size_of, unpack, unpack_columns, unpack_table
from kernels.errors import BadRecord
from operators.batch import Tally

__all__ = ["Answered", "Hub", "Part", "Worker"]

AnyQuery = AgentsQuery | CellsQuery | AlertsQuery | HistoryQuery


@dataclass
class Worker:
    """A process of the flow that is connected.

    Parameters
    ----------
    number, pid
        Which.
    """

    number: int
    pid: int
    writer: asyncio.StreamWriter
    steps: list[str]
    edges: list[list[str]]
    since_s: float = field(default_factory=time.monotonic)
    rss_bytes: int = 0
    cpu_s: float = 0.0
    cpu_share: float = 0.0
    heard_s: float = field(default_factory=time.monotonic)
    meters: dict[str, Meter] = field(default_factory=dict)
    waiting: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """What one worker had to do with an answer."""

    worker: str
    answered: bool
    rows: int = 0
    took_ms: float = 0.0
    cut: bool = False


@dataclass(frozen=True)
class Answered:
    """An answer: the rows, and who took part in it."""

    table: pa.Table
    parts: list[Part]
    complete: bool
    took_ms: float


class Hub:
    """The view of the server, and those who feed it.

    Parameters
    ----------
    view
        Is fed.
    elsewhere
        What the topics tell beside results, where they feed the view.
    """

    def __init__(self, view: View, elsewhere: Elsewhere | None = None) -> None:
        self.view, self.curves, self.latency, self.elsewhere = view, Curves(), Latency(), elsewhere
        self._reports: dict[str, Report] = {}
        self.workers: dict[int, Worker] = {}
        self.graph: tuple[list[str], list[list[str]]] = ([], [])
        self.trouble = ""  # why nothing comes, in words
        self._ids = itertools.count()
        self._links: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[None]:
        """Listen for workers while the block runs."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, path)
        path.chmod(0o600)
        try:
            yield
        finally:
            server.close()
            for writer in self._links.values():
                writer.close()
            await asyncio.gather(*self._links, return_exceptions=True)
            path.unlink(missing_ok=True)

    async def ask(self, query: AnyQuery) -> Answered:
        """Put a question to all workers; return what they have answered by the deadline."""
        start_s = time.perf_counter()
        if not self.workers or isinstance(query, HistoryQuery | AlertsQuery):
            return self._own(query, start_s)
        workers = [worker for _, worker in sorted(self.workers.items())]
        asked = [asyncio.create_task(self._ask(worker, query)) for worker in workers]
        await asyncio.wait(asked, timeout=query.deadline_ms / 1e3)
        tables, parts = [], []
        for worker, task in zip(workers, asked, strict=True):
            task.cancel()
            found = task.result() if task.done() and not task.cancelled() else None
            if found is None:
                parts.append(Part(f"worker {worker.number}", answered=False))
                continue
            tables.append(unpack_table(found["table"]))
            parts.append(
                Part(f"worker {worker.number}", True, tables[-1].num_rows, found["took_ms"], found["cut"])
            )
        return _answered(query, tables, parts, start_s)

    @property
    def reports(self) -> dict[str, Report]:
        """Return what the processes say of the flow's health, by who says it."""
        return self._reports if self.elsewhere is None else self.elsewhere.reports

    @property
    def account(self) -> Tally | None:
        """Return what became of the events; None where nothing tells it."""
        return self.view.tally() if self.elsewhere is None else self.elsewhere.account()

    def watermark_us(self) -> int | None:
        """Return the least watermark that is known."""
        return self.view.watermark_us() if self.elsewhere is None else self.elsewhere.watermark_us()

    def sample(self) -> None:
        """Add a sample to the curves."""
        view, tally = self.view, self.account
        mark = view.watermark_us()
        lag_ms = None if mark is None else max(0, view.agents.now_us - mark) / 1e3
        phi = view.newest("emergence", "phi_nats")
        values: dict[str, float | None] = {
            "emergence": float(phi[-1]) if phi is not None and np.isfinite(phi[-1]) else None,
            "level": view.degradation(), "latency_ms": self.latency.take_ms(), "lag_ms": lag_ms,
            "late": view.counts["late"] if tally is None else tally.late,
            "dead_letters": view.counts["dead_letters"] if tally is None else tally.dead_letters,
            "agents": int((~view.agents.gone()).sum()),
        }  # fmt: skip
        now_s = time.time()
        if self.elsewhere is not None:
            told = self.elsewhere.values(now_s)
            values |= told | ({"level": values["level"]} if values["level"] is not None else {})
        self.curves.add(now_s, 0 if tally is None else tally.events_in, values)
        view.note_history()

    def _own(self, query: AnyQuery, start_s: float) -> Answered:
        """Answer from the server's own view: it has the histories and the alerts, and all there is without workers."""
        table = answer(self.view, query)
        took_ms = round((time.perf_counter() - start_s) * 1e3, 3)
        return _answered(query, [table], [Part("dashboard", True, table.num_rows, took_ms)], start_s)

    async def _ask(self, worker: Worker, query: AnyQuery) -> dict[str, Any] | None:
        number = next(self._ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        worker.waiting[number] = future
        try:
            worker.writer.write(pack({"type": "query", "id": number, "query": query.model_dump(mode="json")}))
            return await future
        except (OSError, EOFError):
            return None
        finally:
            worker.waiting.pop(number, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, worker = asyncio.current_task(), None
        assert task is not None  # it is in one
        self._links[task] = writer
        with contextlib.suppress(OSError, EOFError, BadRecord, KeyError, TypeError, ValueError):
            while True:
                message = unpack(await reader.readexactly(size_of(await reader.readexactly(HEADER.size))))
                if message["type"] == "hello":
                    worker = self._greet(message, writer)
                elif worker is not None and message["type"] == "answer":
                    if (future := worker.waiting.get(message["id"])) is not None and not future.done():
                        future.set_result(message)
                elif worker is not None:
                    self._take(worker, message)
        if worker is not None and self.workers.get(worker.number) is worker:
            del self.workers[worker.number]
            self._reports.pop(f"worker {worker.number}", None)
            for future in worker.waiting.values():
                if not future.done():
                    future.set_exception(EOFError("it has gone"))
        writer.close()
        del self._links[task]

    def _greet(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> Worker:
        worker = Worker(message["worker"], message["pid"], writer, message["steps"], message["edges"])
        self.workers[worker.number] = worker
        self.graph = worker.steps, worker.edges
        for table in message["cells"]:
            self.view.take_tables({"cells": unpack_table(table)})
        return worker

    def _take(self, worker: Worker, news: dict[str, Any]) -> None:
        now_s = time.monotonic()
        columns = unpack_columns(news["agents"])
        if len(columns["agent_id"]):
            self.view.take_events(columns, news["names"])
        self.view.take_tables({kind: unpack_table(data) for kind, data in news["tables"].items()})
        self.view.tallies |= {number: Tally(*counts) for number, counts in news["tallies"].items()}
        self.view.watermarks |= news["watermarks"]
        self.latency.reach(news["reached"])
        self.latency.close(news["closed"])
        if now_s > worker.heard_s:
            worker.cpu_share = (
                (news["cpu_s"] - worker.cpu_s) / (now_s - worker.heard_s) if worker.cpu_s else 0.0
            )
        worker.heard_s, worker.cpu_s, worker.rss_bytes = now_s, news["cpu_s"], news["rss_bytes"]
        worker.meters = {name: Meter(*values) for name, values in news["steps"].items()}
        if "health" in news:
            self._reports[f"worker {worker.number}"] = Report(
                Said.model_validate(news["health"]), time.time()
            )


def _answered(query: AnyQuery, tables: list[pa.Table], parts: list[Part], start_s: float) -> Answered:
    merged = merge(query, tables) if tables else pa.table({})
    table = cut(merged, query.max_bytes)
    whole = all(part.answered and not part.cut for part in parts) and table.num_rows == merged.num_rows
    return Answered(table, parts, whole, round((time.perf_counter() - start_s) * 1e3, 3))
