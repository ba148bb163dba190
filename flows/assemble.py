"""From a configuration to a flow that can run: its source, its plan and its sink, put together in one place."""

from dataclasses import dataclass

from bytewax.dataflow import Dataflow
from bytewax.outputs import FixedPartitionedSink

from flows import cells
from flows.plan import Plan
from flows.settings.root import Settings
from flows.sinks import open_sink
from flows.sources import Input, open_input
from operators.batch import Tally
from operators.progress import Progress
from operators.result_tables import Output

__all__ = ["Assembled", "assemble"]


@dataclass(frozen=True)
class Assembled:
    """A flow, and what it was made of.

    Parameters
    ----------
    input, plan, flow, sink
        The opened source, the steps, the Bytewax flow, and where it leads.
    progress
        Told by the source how far it has come.
    account
        What became of the events, once a run into Kafka has ended.
    """

    input: Input
    plan: Plan
    flow: Dataflow
    sink: FixedPartitionedSink[Output, bytes]
    progress: Progress
    account: Tally


def assemble(
    settings: Settings, *, sink: str = "files", until_end: bool = False, given: Input | None = None
) -> Assembled:
    """Build the flow of cells that `settings` describes.

    Parameters
    ----------
    settings
        Validated.
    sink
        `files` or `kafka`.
    until_end
        A Kafka source stops at what is the end now.
    given
        An opened input, in place of the source that `settings` names.

    Raises
    ------
    AuraError
        The source cannot be opened, or a stage does not fit it.
    """
    given = given or open_input(settings, until_end=until_end)
    plan = Plan.of(settings, columns=given.columns, partitions=given.partitions)
    progress, account = Progress(), Tally()
    target = open_sink(settings, sink, model=plan.cell_model, account=account)
    flow = cells.build(given.build(plan.ingest, progress), target, plan)
    return Assembled(given, plan, flow, target, progress, account)
