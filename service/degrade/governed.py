"""What a run that may degrade is given: the log of its decisions, and the governor that makes them."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.settings.root import Settings
from operators.decisions import FILE, DecisionLog
from operators.drain import DRAIN
from service.degrade.governor import Governor
from service.degrade.publisher import Publisher
from service.recovery.store import Store, directory_of

__all__ = ["Governed", "governed", "log_of"]


@dataclass(frozen=True)
class Governed:
    """The decisions that are obeyed, and who makes them; nobody where those of another run are."""

    decisions: DecisionLog
    governor: Governor | None = None


def log_of(settings: Settings) -> Path:
    """Return where the log of a run is while that runs: in its recovery store, or beside the results."""
    store = directory_of(settings) / "store"
    return (store if store.is_dir() else settings.sink.directory) / FILE


@contextmanager
def governed(
    settings: Settings,
    obeys: Path | None,
    *,
    sink: str,
    store: Store | None = None,
    who: str = "0",
    now: Callable[[], float] = time.monotonic,
    save: Callable[[], object] = DRAIN.request,
) -> Iterator[Governed | None]:
    """Watch and decide while the block runs; None where the run does everything whatever happens.

    The log lies in the recovery store, whose life it shares, or else beside the results; there is a copy beside the results
    at the end. In an emergency `save` is called, to have the flow drain.
    """
    if obeys is not None:
        yield Governed(DecisionLog(obeys, settings.border_us, obeyed=True))
        return
    if not settings.degradation.enabled:
        yield None
        return
    beside = settings.sink.directory / FILE
    if store is None:
        for path in settings.sink.directory.glob(f"{beside.stem}.*"):
            path.unlink()
    log = DecisionLog(beside if store is None else store.directory / "store" / FILE, settings.border_us)
    publisher = None
    if "kafka" in (settings.input.source, sink):
        publisher = Publisher(settings.kafka.client_options(), settings.kafka.prefix, who)
    governor = Governor(settings, log, publisher=publisher, who=who, now=now, save=save)
    with governor.watching():
        yield Governed(log, governor)
    if log.path != beside and log.path.exists():
        shutil.copyfile(log.path, beside)
        if (models := log.path.parent / "models").exists():  # those that the decisions name
            shutil.copytree(models, beside.parent / "models", dirs_exist_ok=True)
