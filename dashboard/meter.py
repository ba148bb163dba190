"""Where time goes: how long each step of a flow has worked, and how much it has put out.

Measured a batch at a time, two looks at a clock each: what a step costs beside that does not show.
"""

import time
from dataclasses import dataclass
from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.visualize import to_rendered

from operators.wrap import Call

__all__ = ["TIMED", "Graph", "Meter", "graph"]

Graph = tuple[list[str], list[tuple[str, str]]]
"""The names of the steps, and which leads to which."""
TIMED = ("map", "next_batch", "on_batch", "on_notify", "write_batch", "snapshot")
"""The calls in which a step works."""


@dataclass(slots=True)
class Meter:
    """Of one step: seconds at work, calls, and items put out."""

    seconds: float = 0.0
    calls: int = 0
    items: int = 0

    def around(self, call: Call) -> Call:
        """Return `call`, measured."""

        def metered(*args: Any) -> Any:
            start_s = time.perf_counter()
            try:
                found = call(*args)
            finally:
                self.seconds += time.perf_counter() - start_s
                self.calls += 1
            out = found[0] if isinstance(found, tuple) else found  # keyed steps say whether they go on
            if isinstance(out, list):
                self.items += len(out)
            return found

        return metered


def graph(flow: Dataflow) -> Graph:
    """Return the steps of a flow by the names they were given, and which leads to which."""
    steps = to_rendered(flow).substeps
    owner = {port.port_id: _short(step.step_id) for step in steps for port in step.out_ports}
    edges = [
        (owner[origin], _short(step.step_id))
        for step in steps
        for port in step.inp_ports
        for origin in port.from_port_ids
    ]
    return [_short(step.step_id) for step in steps], edges


def _short(step_id: str) -> str:
    return step_id.partition(".")[2] or step_id
