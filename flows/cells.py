"""The flow of AURA's cells: events in, statistics per (window, cell) out.

source -> row stages -> combine -> window (by shard) -> cells -> cell stages -> one sink
|                                                      |
+-> session combine -> session (by shard) -------------+
|                                                      |
+-> account: late, dead letters, alerts, tally  -------+
"""

import os

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource
from bytewax.outputs import FixedPartitionedSink

from flows.plan import Plan
from operators.batch import Batch
from operators.guard import guarded
from operators.result_tables import Output
from operators.stages import over_events

__all__ = ["build", "from_env"]


def build(
    source: FixedPartitionedSource[Batch, bytes], sink: FixedPartitionedSink[Output, bytes], plan: Plan
) -> Dataflow:
    """Return the flow of `plan` from `source` to `sink`."""
    flow = Dataflow("cells")
    batches = op.input("source", flow, source)
    for stage in plan.row_stages:
        batches = op.map(stage.name, batches, guarded(stage.name, over_events(stage.run)))
    messages = op.flat_map("combine", batches, guarded("combine", plan.combine))
    closed = op.stateful_batch("window", messages, plan.window)
    results = op.flat_map_batch("cells", closed, guarded("cells", plan.results))
    outputs = [results, op.flat_map("account", batches, plan.account)]
    if (sessions := plan.sessions) is not None:
        fragments = op.flat_map("session_combine", batches, guarded("session_combine", sessions.combine))
        found = op.stateful_batch("session", fragments, sessions.step)
        outputs.append(op.flat_map_batch("sessions", found, guarded("sessions", sessions.results)))
    op.output("sink", op.merge("outputs", *outputs), sink)
    return flow


def from_env() -> Dataflow:
    """Return the flow that the environment asks for, into part files: `python -m bytewax.run "flows.cells:from_env()"`.

    `AURA_PROFILE` names the profile (flights), further `AURA_*` variables override it. `aura collect` puts the parts of
    the finished run together.
    """
    # Here, not above: assemble imports this module for `build`.
    from flows.assemble import assemble  # noqa: PLC0415
    from flows.settings.root import load  # noqa: PLC0415

    env = {name: value for name, value in os.environ.items() if name != "AURA_PROFILE"}
    return assemble(load(os.environ.get("AURA_PROFILE", "flights"), env=env).settings).flow
