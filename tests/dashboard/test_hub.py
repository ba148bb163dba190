"""Workers over a real socket: their news arrives, their answers are gathered, and what does not answer is named."""

import asyncio
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from views import cells, events

from dashboard.hub import Hub
from dashboard.queries import AgentsQuery, CellsQuery
from dashboard.view import View
from dashboard.wire import HEADER, pack
from dashboard.worker import WorkerFeed
from operators.batch import Batch, Origin, Tally
from operators.cells import Cells


def _feed(path: Path, number: int, ids: list[int]) -> WorkerFeed:
    feed = WorkerFeed(path, number, {"second": 0}, 10**9)
    columns = events(ids, [1_000_000 + i for i in ids], ids)
    feed.events(Batch(columns, Origin.nowhere("test", number), 0, 1_000_100))
    columns = {name: column.to_numpy() for name, column in zip(*_cells(number), strict=True)}
    columns["window"] = np.zeros(2, np.int16)
    del columns["shard"]
    feed.results(number, [Cells(number, columns, ["second"])], Tally(events_in=len(ids), windowed=len(ids)))
    feed.start()
    return feed


def _cells(number: int) -> tuple[list[str], list]:
    table = cells("second", 0, number, [number, 7]).combine_chunks()
    table = table.set_column(0, "window", table["shard"])
    return table.column_names, table.columns


async def _until(reached: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.01)


@pytest.fixture
def path() -> Path:
    """A place for a socket: its path must be short."""
    return Path(tempfile.mkdtemp(prefix="aura-")) / "s"


def test_workers(path: Path) -> None:
    """The view has what all have said; a question is answered by all, each with its time."""

    async def scenario() -> None:
        hub = Hub(View())
        async with hub.listening(path):
            for number, ids in enumerate(([1, 4], [2, 5], [3])):
                _feed(path, number, ids)
            await _until(lambda: len(hub.view.agents) == 5 and len(hub.view.tallies) == 3)
            assert path.stat().st_mode & 0o777 == 0o600
            assert hub.view.tally().events_in == 5
            found = await hub.ask(AgentsQuery(near=[4, 8], k=2, deadline_ms=20_000))
            assert found.table["agent_id"].to_pylist()[0] == 4
            assert found.complete
            assert [part.worker for part in found.parts] == ["worker 0", "worker 1", "worker 2"]
            assert all(part.answered and part.took_ms > 0 for part in found.parts)
            top = await hub.ask(CellsQuery(window="second", top="count", limit=3, deadline_ms=20_000))
            assert top.table["count"].to_pylist() == [7, 7, 7]
            small = await hub.ask(AgentsQuery(max_bytes=1024, deadline_ms=20_000))
            assert small.table.nbytes <= 1024

    asyncio.run(scenario())


def test_deadline(path: Path) -> None:
    """Who does not answer by the deadline is named, and the rest is the answer."""

    async def scenario() -> None:
        hub = Hub(View())
        async with hub.listening(path):
            _feed(path, 0, [1, 2])
            with socket.socket(socket.AF_UNIX) as silent:
                silent.connect(str(path))
                hello = {"type": "hello", "worker": 1, "pid": 1, "steps": [], "edges": [], "cells": []}
                silent.sendall(pack(hello))
                await _until(lambda: len(hub.workers) == 2 and len(hub.view.agents) == 2)
                found = await hub.ask(AgentsQuery(deadline_ms=3_000))
                assert [part.answered for part in found.parts] == [True, False]
                assert not found.complete
                assert found.table["agent_id"].to_pylist() == [1, 2]
            await _until(lambda: len(hub.workers) == 1)

    asyncio.run(scenario())


def test_server_comes_back(path: Path) -> None:
    """A worker tells a server that is started anew all that it knows."""

    async def scenario() -> None:
        for _ in range(2):
            hub = Hub(View())
            async with hub.listening(path):
                if not started:
                    started.append(_feed(path, 0, [1, 2, 3]))
                await _until(
                    lambda hub=hub: len(hub.view.agents) == 3 and hub.view.windows.names() == ["second"]
                )

    started: list[WorkerFeed] = []
    asyncio.run(scenario())


def test_nonsense(path: Path) -> None:
    """What is no message ends its connection, and nothing else; nothing is allocated for a length alone."""

    async def scenario() -> None:
        hub = Hub(View())
        async with hub.listening(path):
            for data in (
                HEADER.pack(2**32 - 1),
                HEADER.pack(3) + b"abc",
                pack({"type": "news"}),
                pack({"type": "hello"}),
            ):
                with socket.socket(socket.AF_UNIX) as link:
                    link.connect(str(path))
                    link.sendall(data)
                    link.shutdown(socket.SHUT_WR)
                    await asyncio.sleep(0.05)
            _feed(path, 0, [1])
            await _until(lambda: len(hub.view.agents) == 1)

    asyncio.run(scenario())
