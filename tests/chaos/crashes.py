"""Places in the life of an epoch at which a process can be made to die by SIGKILL: once, when a file of that name is there.

source      a source makes its snapshot: the epoch ends
open        a transaction is open, its records sent or not
flushed     the broker has the records; the commit is not sent
asked       the commit is sent, its answer is on its way
committed   the answer is there, the snapshot is not made
made        the snapshot of one sink partition is made, perhaps not of the others; nothing is on disk
durable     a few milliseconds later: the snapshots reach the disk of one process, of all, or of none
reading     a writer that has started reads back what it finds in the log
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from operators import kafka_sink, kafka_source, kafka_writer

__all__ = ["POINTS", "arm"]

POINTS = ("source", "open", "flushed", "asked", "committed", "made", "durable", "reading")


def arm(folder: Path) -> None:
    """Let the steps of this process die where a file in `folder` says so."""

    def die(point: str) -> None:
        try:
            (folder / point).unlink()
        except OSError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def soon(point: str, most_s: float) -> None:
        if (folder / point).exists():
            later = threading.Thread(
                target=lambda: (time.sleep(random.uniform(0, most_s)), die(point)), daemon=True
            )
            later.start()

    writer, producer = kafka_sink._Partition, kafka_writer.Writer
    _around(kafka_source._Partition, "snapshot", lambda: die("source"))
    _around(writer, "_settle", lambda: die("open"))
    _around(
        producer,
        "commit_transaction",
        lambda: (die("flushed"), soon("asked", 0.004)),
        lambda: die("committed"),
    )
    _around(writer, "snapshot", lambda: None, lambda: (die("made"), soon("durable", 0.01)))
    _around(writer, "_read_back", lambda: die("reading"))


def _around(
    owner: Any, name: str, before: Callable[[], Any], after: Callable[[], Any] = lambda: None
) -> None:
    """Let a method do more before and after what it does."""
    method = getattr(owner, name)

    def more(*args: Any, **options: Any) -> Any:
        before()
        found = method(*args, **options)
        after()
        return found

    setattr(owner, name, more)
