"""A site on a real server of its own, in a thread."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from dashboard.app import Site
from service.commands.dashboard import listen, server_of

__all__ = ["serving"]


@contextmanager
def serving(site: Site, port: int = 0) -> Iterator[str]:
    """Serve while the block runs; yield the address."""
    listener = listen("127.0.0.1", port)
    server: uvicorn.Server = server_of(site)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
