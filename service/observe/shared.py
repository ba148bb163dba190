"""The metrics of the processes of a cluster on one port: each puts its text into a file, once a second; a reader joins them.

Every sample keeps the number of its process in the label `process`, and whoever asks adds up: sums of counters and
histograms are right, a gauge can be looked at one by one, and a process that has started anew is a counter that begins
anew, which Prometheus knows how to take. The library's own way for several processes maps a file for each of them into
memory at every change, keeps the dead ones, and has no place for numbers that are read when asked.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

__all__ = ["Joined", "publishing"]

_EVERY_S = 1.0
# A process that has not written for so long has ended, or hangs: then nobody knows its numbers.
_STALE_S = 10.0


@contextmanager
def publishing(registry: CollectorRegistry, directory: Path, process: int) -> Iterator[None]:
    """Write the metrics of this process into `directory`, once a second, while the block runs."""
    directory.mkdir(mode=0o700, exist_ok=True)
    path, over = directory / f"{process}.prom", threading.Event()

    def forever() -> None:
        while not over.wait(_EVERY_S):
            _write(path, registry)

    thread = threading.Thread(target=forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _write(path, registry)


def _write(path: Path, registry: CollectorRegistry) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(generate_latest(registry))
    temporary.replace(path)


class Joined(Collector):
    """The metrics that processes have put into a directory.

    Parameters
    ----------
    directory
        Where.
    only
        The number of one process; None: of all.
    """

    def __init__(self, directory: Path, *, only: int | None = None) -> None:
        self._directory = directory
        self._names = "[0-9]*.prom" if only is None else f"{only}.prom"

    def collect(self) -> Iterator[Metric]:
        """Yield every family with the samples of all processes."""
        families: dict[str, Metric] = {}
        for path in sorted(self._directory.glob(self._names)):
            if time.time() - path.stat().st_mtime > _STALE_S:
                continue
            for family in text_string_to_metric_families(path.read_text()):
                joined = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                joined.samples += [
                    s._replace(labels=s.labels | {"process": path.stem}) for s in family.samples
                ]
        yield from families.values()
