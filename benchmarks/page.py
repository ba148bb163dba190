"""The page's server while the flow runs: twenty pages, and one that reads nothing.

The demonstration as a user starts it: 100,000 agents in three processes, then the server, then the clients, all on this
machine. A page that reads nothing must not slow down the others, nor fill the server's memory.
"""

import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
from websockets.asyncio.client import connect

from benchmarks.row import Effort, Row
from dashboard.clients import FRAME_S

__all__ = ["rows"]

_CLIENTS, _AGENTS, _SECONDS = 20, 100_000, 20.0
_START_S = 90.0
_HALF = 0.5 / FRAME_S  # frames a second: half of what is sent to a page on an idle machine
_GROWTH_MB = 200.0  # histories fill 134 MB; a frame under way to each page is 20 more


@dataclass
class _Seen:
    """What the clients have seen."""

    frames: list[int] = field(default_factory=list)
    ages_ms: list[float] = field(default_factory=list)
    received: int = 0


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the frames a page gets, how old what it is told is, and what the slow one costs."""
    agents = effort.events(_AGENTS)
    with _demo(agents) as (address, server):
        seen, before = _Seen(), server.memory_info().rss
        cpu_s = sum(server.cpu_times()[:2])
        asyncio.run(_watch(address.replace("http", "ws") + "ws", seen))
        share = (sum(server.cpu_times()[:2]) - cpu_s) / _SECONDS
        growth_mb = (server.memory_info().rss - before) / 1e6
    rates = [frames / _SECONDS for frames in seen.frames]
    note = (
        f"{agents:,} agents in three processes on the same machine, {seen.received / _SECONDS / 1e6:.0f} MB/s to all pages, "
        f"{share:.2f} cores for the server; one more page reads nothing"
    )
    what = f"page: frames of agents a second at each of {_CLIENTS}, the flow running"
    yield Row(what, statistics.median(rates), "1/s", _HALF, runs=tuple(rates), note=note)
    yield Row(
        "page: age of the state when it arrives", statistics.median(seen.ages_ms), "ms", 1_000.0, at_most=True
    )
    yield Row("page: growth of the server's memory meanwhile", growth_mb, "MB", _GROWTH_MB, at_most=True)


@contextmanager
def _demo(agents: int) -> Iterator[tuple[str, psutil.Process]]:
    """Run the demonstration while the block runs; yield its address and its server."""
    with tempfile.TemporaryDirectory(prefix="aura-page-") as folder:
        line = [
            sys.executable,
            "-m",
            "service",
            "demo",
            "--agents",
            str(agents),
            "--port",
            "0",
            "--out",
            folder,
        ]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        try:
            found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
            if found is None:
                raise SystemExit("the demonstration did not start")
            asyncio.run(_until_full(found[0].replace("http", "ws") + "ws", agents))
            yield found[0], psutil.Process(process.pid)
        finally:
            process.terminate()
            process.communicate()


async def _until_full(address: str, agents: int) -> None:
    end_s = time.monotonic() + _START_S
    async with connect(address, max_size=None) as socket:
        async for message in socket:
            if isinstance(message, str) and json.loads(message)["agents"] >= agents:
                return
            if time.monotonic() > end_s:
                raise SystemExit(f"there are not {agents:,} agents after {_START_S:g} s")


async def _watch(address: str, seen: _Seen) -> None:
    async with connect(address, max_size=None, max_queue=1):  # reads nothing
        await asyncio.gather(*(_client(address, seen) for _ in range(_CLIENTS)))


async def _client(address: str, seen: _Seen) -> None:
    frames, end_s = 0, time.monotonic() + _SECONDS
    async with connect(address, max_size=None, max_queue=2) as socket:
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                message: Any = await asyncio.wait_for(socket.recv(), left_s)
            except TimeoutError:
                break
            seen.received += len(message)
            if isinstance(message, str):
                seen.ages_ms.append((time.time() - json.loads(message)["now_s"]) * 1e3)
            else:
                frames += 1
    seen.frames.append(frames)
