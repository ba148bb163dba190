"""A part: one flow over the stream of events, which `flows.assemble` puts beside the others of a run.

    source -> row stages -+-> cells ------+-> one sink
                          +-> population -+
                          +-> ...        -+
                          +-> account ----+

To add a part: write a class with the members of `Part` and a class method `of(settings, given)`, name it in
`flows.parts.PARTS` and in `flows.settings.system.Flow`, and register what it publishes in `operators.result.KINDS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
from bytewax.dataflow import Stream

from kernels.scorer import Scorer
from operators.batch import Batch
from operators.bridge import Bridge
from operators.result_tables import Output

__all__ = ["Given", "Part"]


@dataclass(frozen=True)
class Given:
    """What a part is built from beside the settings.

    Parameters
    ----------
    columns
        What the events have after the row stages.
    partitions
        Source partitions; a tick of event time is complete when all of them have passed it (`operators.watermarks`).
    backend
        Who does the arithmetic.
    models
        Loaded models by name, those that a stage or a part of this run names.
    """

    columns: frozenset[str]
    partitions: int
    backend: Bridge
    models: Mapping[str, Scorer]


class Part(Protocol):
    """What `flows.assemble` needs of a part.

    A part is built once, checks all that it was given then (`ConfigError`), and holds no state: that is in its keyed
    steps, as bytes of `operators.state.pack`.
    """

    @property
    def steps(self) -> Sequence[str]:
        """The names of its steps, in their order, for who reads the start-up."""

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """The kinds that it publishes, each as the table without rows: `operators.result_tables.empty_results(kind)`."""

    def attach(self, batches: Stream[Batch]) -> Stream[tuple[str, Output]]:
        """Add the steps to the flow of `batches`; return the stream of what goes to the sink.

        Other parts see the same batches: read them, never change them. Names of steps must differ from those of
        other parts; stateless ones run under `operators.guard.guarded`, so that a failure names the batch.

        The stream's items are pairs of the sink partition, as the text of its number, and the output. All results of
        one id go to one partition, so that they keep their order: `str(key % settings.sink.partitions)` with the key
        of the step that makes them. The events' account (late, dead letters) is not the part's concern.
        """
