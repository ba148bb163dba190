"""From a configuration to a flow that can run: its source, its plan and its sink, put together in one place."""

from dataclasses import dataclass

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource
from bytewax.outputs import FixedPartitionedSink

from flows.plan import Plan
from flows.settings.root import Settings
from flows.sinks import open_sink
from flows.sources import Input, open_input
from kernels.scorer import Scorer
from operators.batch import Batch, Tally
from operators.bridge import Bridge
from operators.guard import guard_flow, guarded
from operators.progress import Progress
from operators.result_tables import Output
from operators.stages import over_events

__all__ = ["Assembled", "assemble", "build"]


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
    settings: Settings,
    *,
    sink: str = "files",
    until_end: bool = False,
    given: Input | None = None,
    backend: Bridge | None = None,
    models: dict[str, Scorer] | None = None,
) -> Assembled:
    """Build the run that `settings` describes.

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
    backend, models
        If they are there already.

    Raises
    ------
    AuraError
        The source cannot be opened, or a stage does not fit it.
    """
    given = given or open_input(settings, until_end=until_end)
    plan = Plan.of(
        settings, columns=given.columns, partitions=given.partitions, backend=backend, models=models
    )
    progress, account = Progress(), Tally()
    target = open_sink(settings, sink, model=plan.cell_model, further=tuple(plan.tables), account=account)
    flow = build(given.build(plan.ingest, progress), target, plan)
    return Assembled(given, plan, flow, target, progress, account)


def build(
    source: FixedPartitionedSource[Batch, bytes], sink: FixedPartitionedSink[Output, bytes], plan: Plan
) -> Dataflow:
    """Return the flow of `plan`: source -> row stages -> every part, and the account -> the one sink."""
    flow = Dataflow("aura")
    batches = op.input("source", flow, source)
    for stage in plan.row_stages:
        run = over_events(stage.run)
        watched = run if stage.model is None else plan.backend.watching(run, lambda batch: str(batch.origin))
        batches = op.map(stage.name, batches, guarded(stage.name, watched))
    outputs = [part.attach(batches) for part in plan.parts.values()]
    outputs.append(op.flat_map("account", batches, guarded("account", plan.account)))
    op.output("sink", op.merge("outputs", *outputs), sink)
    return guard_flow(flow)
