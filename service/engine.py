"""Runs Bytewax so that its own words, Rust backtraces among them, go to a log file and a failure is one message."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernels.errors import AuraError

__all__ = ["engine"]


@contextmanager
def engine(log: Path) -> Iterator[None]:
    """Send standard error to `log` while the block runs; raise what stopped the flow, not the engine's wrapping of it.

    Raises
    ------
    AuraError
        The flow failed; the traceback is in the log.
    """
    with log.open("ab") as file:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        except Exception as error:
            file.write(traceback.format_exc().encode())
            raise _cause(error, log) from None
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def _cause(error: BaseException, log: Path) -> AuraError:
    """Return the innermost failure that says what to do, or an `AuraError` that names the log."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None:
        chain.append(at)
        at = at.__cause__ or at.__context__
    named = [e for e in chain if isinstance(e, AuraError)]
    if named:
        # The outermost one names the step; what it wraps is in its words already.
        return named[0]
    return AuraError(f"the run failed: {type(chain[-1]).__name__}: {chain[-1]}", f"The traceback is in {log}")
