"""What a step of a flow in several processes raises, seen on its way out: there the engine forgets it, and panics.

Seen too is that it does not come back at all.
"""

from collections.abc import Callable
from typing import Any

from bytewax.dataflow import Dataflow

from operators.wrap import Call, Site, wrap
from service.cluster.underway import Underway

__all__ = ["witness"]

Note = Callable[[Exception], None]


def witness(flow: Dataflow, note: Note, underway: Underway) -> None:
    """Let `note` be told of what a step of `flow` raises, before the engine is, and `underway` of each call."""

    def around(site: Site, call: Call) -> Call:
        what = f"{site.step}.{site.method}"

        def noted(*args: Any) -> Any:
            underway.begin(what)
            try:
                return call(*args)
            except StopIteration:  # the end of a partition
                raise
            except Exception as error:
                note(error)
                raise
            finally:
                underway.end()

        return noted

    wrap(flow, around)
