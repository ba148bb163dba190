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
from kernels.errors import ConfigError
from kernels.scorer import Scorer
from operators.batch import Batch, Tally
from operators.bridge import Bridge
from operators.decisions import DecisionLog
from operators.degrade import CRITICAL, MAJOR, Degrade
from operators.guard import guard_flow, guarded
from operators.progress import Progress
from operators.pseudonyms import Pseudonyms
from operators.result_tables import Output
from operators.stages import over_events
from operators.wrap import wrap

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
    decisions
        What it obeys, if it may degrade.
    """

    input: Input
    plan: Plan
    flow: Dataflow
    sink: FixedPartitionedSink[Output, bytes]
    progress: Progress
    account: Tally
    decisions: DecisionLog | None = None


def assemble(
    settings: Settings,
    *,
    sink: str = "files",
    until_end: bool = False,
    given: Input | None = None,
    backend: Bridge | None = None,
    models: dict[str, Scorer] | None = None,
    decisions: DecisionLog | None = None,
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
    decisions
        What the run obeys, if it may degrade.

    Raises
    ------
    AuraError
        The source cannot be opened, or a stage does not fit it.
    """
    pseudonyms = _pseudonyms(settings) if sink == "kafka" else None
    given = given or open_input(settings, until_end=until_end)
    plan = Plan.of(
        settings, columns=given.columns, partitions=given.partitions, backend=backend, models=models,
        decisions=decisions,
    )  # fmt: skip
    progress, account = Progress(), Tally()
    target = open_sink(settings, sink, model=plan.cell_model, further=tuple(plan.tables), account=account)
    flow = build(given.build(plan.ingest, progress), target, plan, pseudonyms)
    if decisions is not None:
        wrap(flow, _degrade(settings, plan, decisions).around)
    return Assembled(given, plan, flow, target, progress, account, decisions)


def _degrade(settings: Settings, plan: Plan, decisions: DecisionLog) -> Degrade:
    windows = {window.name: window for window in settings.windows_used}
    gated = {part.steps[0]: CRITICAL for name, part in plan.parts.items() if name not in ("cells", "safety")}
    gated |= {"level_count": MAJOR}
    asks = {"cause_ask": settings.safety.causal_consistency.reach}
    field_us = settings.field.publish_steps * settings.field.step_us
    return Degrade(decisions, windows, gated=gated, asks=asks, field_us=field_us)


def build(
    source: FixedPartitionedSource[Batch, bytes],
    sink: FixedPartitionedSink[Output, bytes],
    plan: Plan,
    pseudonyms: Pseudonyms | None = None,
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
    found = op.merge("outputs", *outputs)
    if pseudonyms is not None:
        found = op.map_value("pseudonyms", found, guarded("pseudonyms", pseudonyms))
    op.output("sink", found, sink)
    return guard_flow(flow)


def _pseudonyms(settings: Settings) -> Pseudonyms | None:
    """Return what hides the ids of agents in topics of results; None if nothing does.

    Raises
    ------
    ConfigError
        Privacy is enforced, and there is no key.
    """
    privacy = settings.safety.privacy_preservation
    if privacy.key is not None:
        return Pseudonyms(bytes.fromhex(privacy.key.get_secret_value()))
    if settings.safety.watches("privacy_preservation") and privacy.enforce:
        raise ConfigError(
            "safety.privacy_preservation.key: missing; with enforce, results in topics carry pseudonyms for agents",
            "Give 32 hexadecimal digits in AURA_SAFETY__PRIVACY_PRESERVATION__KEY, for example of `openssl rand -hex 16`",
        )
    return None
