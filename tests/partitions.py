"""Source partitions without an engine: what the driver of a flow's steps feeds, pauses, ends and starts again."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from kernels.schema import Columns
from operators.batch import Batch, Origin
from operators.ingest import Ingest, IngestConfig
from operators.result import Result

__all__ = ["Partitions", "Published", "origin"]


def origin(partition: int) -> Origin:
    """Return where the events of a test stand."""
    return Origin.of_record("test", partition)


class Partitions(ABC):
    """The partitions of a source, whose batches go through `take`."""

    def open(self, checks: IngestConfig, partitions: int) -> None:
        """Begin."""
        self.checks = checks
        self.sources = [Ingest(checks) for _ in range(partitions)]

    @abstractmethod
    def columns(self, events: Sequence[Any]) -> Columns:
        """Return events as columns."""

    @abstractmethod
    def take(self, batch: Batch) -> None:
        """Let a batch through the steps."""

    def feed(self, partition: int, events: Sequence[Any]) -> None:
        """Let a partition deliver a batch."""
        self.take(self.sources[partition].accept(self.columns(events), origin(partition)))

    def pause(self, partition: int) -> None:
        """Let a partition be idle."""
        self.take(self.sources[partition].pause(origin(partition)))

    def finish(self, partitions: Iterable[int] | None = None) -> None:
        """Let partitions come to their end; all of them unless told which."""
        for partition in range(len(self.sources)) if partitions is None else partitions:
            self.take(self.sources[partition].finish(origin(partition)))

    def restart(self) -> None:
        """Go on from snapshots, as after a crash."""
        self.sources = [Ingest(self.checks, source.snapshot()) for source in self.sources]


class Published(dict[tuple[str, str], Result]):
    """The last revision of each result, by kind and id."""

    def add(self, result: Result) -> None:
        """Take in a result, whose revision is one more than that of the one before."""
        before = self.get((result.kind, result.id))
        assert result.revision == (0 if before is None else before.revision + 1)
        self[result.kind, result.id] = result

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """Return the rows of a kind, in the order of their columns."""
        rows = [
            {name: values[i].item() for name, values in result.columns.items()}
            for (own, _), result in self.items()
            for i in range(len(result))
            if own == kind
        ]
        return sorted(rows, key=lambda row: tuple(row.values()))
