"""What a step of a flow in several processes raises, seen on its way out: there the engine forgets it, and panics."""

from collections.abc import Callable
from typing import Any

from bytewax.dataflow import Dataflow

from operators.wrap import Call, Site, wrap

__all__ = ["witness"]

Note = Callable[[Exception], None]


def witness(flow: Dataflow, note: Note) -> None:
    """Let `note` be told of what a step of `flow` raises, before the engine is."""

    def around(site: Site, call: Call) -> Call:  # noqa: ARG001 (any step, any call)
        def noted(*args: Any) -> Any:
            try:
                return call(*args)
            except StopIteration:  # the end of a partition
                raise
            except Exception as error:
                note(error)
                raise

        return noted

    wrap(flow, around)
