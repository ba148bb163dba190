"""From a configuration to a flow that can run: its source, its plan and its sink, put together in one place."""

from dataclasses import dataclass

from bytewax.dataflow import Dataflow

from flows import cells
from flows.plan import Plan
from flows.settings.root import Settings
from flows.sinks import open_sink
from flows.sources import Input, open_input
from operators.progress import Progress

__all__ = ["Assembled", "assemble"]


@dataclass(frozen=True)
class Assembled:
    """A flow, and what it was made of.

    Parameters
    ----------
    input, plan, flow
        The opened source, the steps, and the Bytewax flow.
    progress
        Told by the source how far it has come.
    """

    input: Input
    plan: Plan
    flow: Dataflow
    progress: Progress


def assemble(settings: Settings, *, sink: str = "files", until_end: bool = False) -> Assembled:
    """Build the flow of cells that `settings` describes.

    Parameters
    ----------
    settings
        Validated.
    sink
        `files` or `kafka`.
    until_end
        A Kafka source stops at what is the end now.

    Raises
    ------
    AuraError
        The source cannot be opened, or a stage does not fit it.
    """
    given = open_input(settings, until_end=until_end)
    plan = Plan.of(settings, columns=given.columns, partitions=given.partitions)
    progress = Progress()
    flow = cells.build(given.build(plan.ingest, progress), open_sink(settings, sink), plan)
    return Assembled(given, plan, flow, progress)
