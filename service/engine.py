"""Runs Bytewax so that its own words, Rust backtraces among them, go to a log file and a failure is one message."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernels.errors import AuraError
from operators.guard import StepError

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
        except BaseException as error:  # a panic of the engine is no Exception
            file.write(traceback.format_exc().encode())
            raise _cause(error, log) from None
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def _cause(error: BaseException, log: Path) -> BaseException:
    """Return the failure that says which step and what to do, or an `AuraError` that names the log."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None:
        chain.append(at)
        at = at.__cause__ or at.__context__
    named = [e for e in chain if isinstance(e, AuraError)]
    if stopped := [e for e in chain if isinstance(e, KeyboardInterrupt)]:
        return stopped[0]
    if not named:
        return AuraError(f"the run failed: {type(chain[-1]).__name__}: {chain[-1]}", _in_log("", log))
    # The outermost one names the step; what it wraps is in its words already.
    told = named[0]
    if isinstance(told, StepError) and not isinstance(told.__cause__, AuraError):
        told.hint = _in_log(told.hint, log)
    return told


def _in_log(hint: str, log: Path) -> str:
    return f"{hint}{'. ' if hint else ''}The traceback is in {log}"
