"""Closed windows to what the sink is given: rows of cells, the stages over them, the alerts they raise, what is taken back."""

from collections.abc import Iterator, Sequence

from operators.batch import Tally
from operators.cells import CellsConfig, to_cells
from operators.closing import Closed
from operators.privacy import Privacy
from operators.result_tables import Output
from operators.stages import CellStage
from operators.withdrawn import withdrawals

__all__ = ["CellResults"]


class CellResults:
    """The step `closed windows of a shard -> outputs for the sink partition of the shard`.

    Parameters
    ----------
    config
        How statistics become columns.
    stages
        Over the rows, in their order.
    privacy
        What is withheld or reported of small cells; None if nothing is.
    sink_partitions
        Number of writers.
    """

    def __init__(
        self, config: CellsConfig, stages: Sequence[CellStage], privacy: Privacy | None, sink_partitions: int
    ) -> None:
        self._config, self._stages = config, tuple(stages)
        self._privacy, self._sink_partitions = privacy, sink_partitions

    def __call__(self, closed: Sequence[tuple[str, Closed | Tally]]) -> Iterator[tuple[str, Output]]:
        """Yield what goes to the sink, in order."""
        for shard, item in closed:
            key = str(int(shard) % self._sink_partitions)
            for output in (item,) if isinstance(item, Tally) else self._outputs(item):
                yield key, output

    def _outputs(self, closed: Closed) -> Iterator[Output]:
        cells = to_cells(closed, self._config)
        if self._privacy is not None and closed.agents is not None:
            cells, found = self._privacy.apply(cells, closed.agents)
            yield from found
        for stage in self._stages:
            cells, alerts = stage(cells)
            if alerts is not None:
                yield alerts
        if len(cells):
            yield cells
        yield from withdrawals(closed, cells)
