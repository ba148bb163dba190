"""Keeps a run going: what fails starts again from its last snapshot, and an emergency is sat out.

a failure     wait (1 s, doubled, at most 60 s, give or take by chance), then go on from the snapshot; after five in a
              row without an epoch done in between, give up and say why
emergency     the flow has drained, its state is saved: events go into the archive unread until the level falls
a mistake in the configuration, or a wish to stop, ends it at once
"""

import threading
from collections.abc import Callable
from typing import Any

from kernels.errors import AuraError, ConfigError
from operators.drain import DRAIN
from service.degrade.canary import ATTEMPTS, Backoff
from service.degrade.governor import Governor

__all__ = ["keep_running", "sit_out"]

Summary = dict[str, Any]
_LOOK_S = 0.2


def keep_running(
    run: Callable[[], Summary | None],
    *,
    governor: Governor,
    progress: Callable[[], int],
    archive: Callable[[threading.Event], None],
    stopped: threading.Event,
    tell: Callable[[str], object],
    backoff: Backoff | None = None,
) -> Summary | None:
    """Return what `run` returns at its end; None if it was stopped.

    Parameters
    ----------
    run
        One start: returns the summary, or None where it was drained.
    governor
        Says whether it was for an emergency.
    progress
        The epoch that is done.
    archive
        Takes events in until the event is set.
    stopped
        Set once it is to end.
    tell
        Told what a person wants to know.
    backoff
        The waits between starts.

    Raises
    ------
    AuraError
        It fails again and again.
    """
    waits, tries, epoch = backoff or Backoff(), 0, progress()
    while True:
        try:
            found = run()
        except ConfigError:
            raise
        except AuraError as error:
            tries, epoch = (tries + 1 if progress() == epoch else 1), progress()
            if tries >= ATTEMPTS or stopped.is_set():
                raise
            if tries == 1:
                waits.reset()
            governor.failures["flow"] = error.message
            wait_s = waits.next_s()
            tell(f"{error.message}; starting again in {wait_s:.1f} s ({tries} of {ATTEMPTS})")
            stopped.wait(wait_s)
            continue
        if found is not None or stopped.is_set() or not governor.in_emergency:
            return found
        tell("emergency: the state is saved, events go into the archive until it is over")
        sit_out(governor, archive, stopped)
        if stopped.is_set():
            return None
        DRAIN.reset()


def sit_out(governor: Governor, archive: Callable[[threading.Event], None], stopped: threading.Event) -> None:
    """Archive until it is over for all processes of the run, or this one is to end.

    Parameters
    ----------
    governor, archive, stopped
        As of `keep_running`.
    """
    over = threading.Event()

    def look() -> None:
        while governor.in_emergency and not stopped.wait(_LOOK_S):
            pass
        over.set()

    looking = threading.Thread(target=look, name="emergency", daemon=True)
    looking.start()
    archive(over)
    over.wait()
    looking.join()
