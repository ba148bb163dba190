"""The flow of cells: events in, statistics per (window, cell) out.

batches -> combine -> window (by shard) -> cells -> cell stages -+-> results
       |                                                         |
       +-> session combine -> session (by shard) -> sessions ----+
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Dataflow, Stream

from flows.cell_plan import CellPlan
from flows.part import Given
from flows.settings.root import Settings
from operators.batch import Batch
from operators.guard import guarded
from operators.keyed import keyed
from operators.result_tables import Output, empty_cells, empty_sessions

__all__ = ["CellsPart", "from_env"]


@dataclass(frozen=True)
class CellsPart:
    """The windows over cells, and the session windows, as a part of the run."""

    plan: CellPlan

    @classmethod
    def of(cls, settings: Settings, given: Given) -> "CellsPart":
        """Build the steps that `settings` describes; ConfigError where a stage or metric does not fit the events."""
        return cls(CellPlan.of(settings, given))

    @property
    def steps(self) -> list[str]:
        """The names of its steps."""
        return ["combine", "window", *(stage.name for stage in self.plan.cell_stages)]

    @property
    def tables(self) -> dict[str, pa.Table]:
        """What it publishes, without rows."""
        sessions = self.plan.sessions
        found = {"cells": empty_cells(self.plan.cells.layout)}
        return found if sessions is None else found | {"sessions": empty_sessions(sessions.config.layout)}

    @property
    def model(self) -> Callable[[int], str] | None:
        """Say which model scores the cells of windows with a start: its SHA-256; None if none does."""
        return next((m.hash_at for s in self.plan.cell_stages if (m := s.model) is not None), None)

    def attach(self, batches: Stream[Batch]) -> Stream[tuple[str, Output]]:
        """Add the steps to the flow of `batches`."""
        plan = self.plan
        messages = op.flat_map_batch("combine", batches, plan.combine.many)
        closed = keyed("window", messages, plan.window)
        results = op.flat_map_batch("cells", closed, guarded("cells", plan.results))
        if (sessions := plan.sessions) is None:
            return results
        fragments = op.flat_map("session_combine", batches, guarded("session_combine", sessions.combine))
        found = keyed("session", fragments, sessions.step)
        return op.merge(
            "windows", results, op.flat_map_batch("sessions", found, guarded("sessions", sessions.results))
        )


def from_env() -> Dataflow:
    """Return the run that the environment asks for, into part files: `python -m bytewax.run "flows.cells:from_env()"`.

    `AURA_PROFILE` names the profile (flights), further `AURA_*` variables override it. `aura collect` puts the parts of
    the finished run together.
    """
    # Here, not above: assemble imports this module for the part.
    from flows.assemble import assemble  # noqa: PLC0415
    from flows.settings.root import load  # noqa: PLC0415

    env = {name: value for name, value in os.environ.items() if name != "AURA_PROFILE"}
    return assemble(load(os.environ.get("AURA_PROFILE", "flights"), env=env).settings).flow
