"""The topics of results as the source of a view: what a reader of committed records sees, as it comes."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from dashboard.hub import Hub
from operators.committed_reader import CommittedReader
from operators.result_tables import tables_of

__all__ = ["following"]


@asynccontextmanager
async def following(hub: Hub, options: Mapping[str, Any], prefix: str) -> AsyncIterator[None]:
    """Feed the view from the topics under `prefix` while the block runs: what stands there, and then what comes."""
    loop, stop = asyncio.get_running_loop(), threading.Event()
    reader = await asyncio.to_thread(CommittedReader, options, prefix)

    def follow() -> None:
        with contextlib.closing(reader):
            while not stop.is_set():
                if outputs := reader.poll():
                    loop.call_soon_threadsafe(hub.view.take_tables, tables_of(outputs))

    thread = threading.Thread(target=follow, name="topics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)
