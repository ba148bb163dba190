"""The topics of results as the source of a view: what a reader of committed records sees, as it comes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pyarrow as pa

from dashboard.hub import Hub
from kernels.errors import AuraError
from operators.committed_reader import CommittedReader, Seen, Word
from operators.result_tables import tables_of

__all__ = ["following"]

_RETRY_S = 2.0


@asynccontextmanager
async def following(
    hub: Hub, reader: CommittedReader, again: Callable[[], CommittedReader]
) -> AsyncIterator[None]:
    """Feed the view from the topics while the block runs: what stands there, and then what comes.

    Parameters
    ----------
    hub
        Is fed, and told what is wrong.
    reader
        Opened, so that whoever starts the server learns at once that there is no broker.
    again
        Opens another when the broker has gone.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def follow() -> None:
        at: CommittedReader | None = reader
        while not stop.is_set():
            try:
                at = at or again()
                if seen := at.poll():
                    loop.call_soon_threadsafe(
                        _take,
                        hub,
                        seen,
                        tables_of([s.output for s in seen if not isinstance(s.output, Word)]),
                    )
                hub.trouble = ""
            except AuraError as error:
                hub.trouble, at = error.message, None
                stop.wait(_RETRY_S)
        if at is not None:
            at.close()

    thread = threading.Thread(target=follow, name="topics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)


def _take(hub: Hub, seen: list[Seen], tables: dict[str, pa.Table]) -> None:
    hub.view.take_tables(tables)
    if hub.elsewhere is not None:
        hub.elsewhere.take(seen)
