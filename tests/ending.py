"""A process of a test comes to its end by itself, or is ended, however the test ends; and when it is worth to end a run."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import AnyStr

from kernels.errors import AuraError
from service.recovery.parts import progress_of, read_part

__all__ = ["ending", "until_progress"]

_WAIT_S = 90.0


@contextmanager
def ending(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """Kill the process at the end of the block, unless it has ended, and close its pipes."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def until_progress(process: subprocess.Popen[str], recovery: Path) -> None:
    """Wait until a run has done epochs beyond those that were there, however long its start takes on this machine."""
    end_s, before, now = time.monotonic() + _WAIT_S, None, 0
    while before is None or now < before + 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end_s
        time.sleep(0.02)
        paths = sorted((recovery / "store").glob("part-*.sqlite3"))
        try:
            now = progress_of([read_part(path) for path in paths])
        except AuraError:  # the engine is at it
            continue
        before = now if before is None else before
