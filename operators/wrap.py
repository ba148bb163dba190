"""The calls that the engine makes into a flow, each put into a wrapper from outside: without one a flow is as it was.

What runs between the calls is the engine's own; what a wrapper costs, it costs once a batch.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bytewax.dataflow import Dataflow

__all__ = ["Around", "Call", "Site", "wrap"]

_CALLED = ("next_batch", "next_awake", "on_batch", "on_notify", "on_eof", "write_batch", "snapshot", "close")
"""What the engine calls of the objects that it has built."""

Call = Callable[..., Any]


class Site(NamedTuple):
    """Where a call goes.

    Attributes
    ----------
    step
        The step's name, that of the flow left out.
    method
        Of the object that the engine has built, `build` for what makes one, `map` for a step that is a function.
    part
        That object; None for a function.
    """

    step: str
    method: str
    part: Any = None


Around = Callable[[Site, Call], Call]
"""Returns what is called in place of a call."""


def wrap(flow: Dataflow, around: Around) -> None:
    """Let every call of the engine into the steps of `flow` go through what `around` returns for it."""
    for step in _steps(flow):
        # `op.map` is made of a core step of that name, `op.filter_map` of two: the name that was given stands before them.
        name = step.step_id.partition(".")[2].removesuffix(".flat_map_batch").removesuffix(".flat_map")
        if mapper := getattr(step, "mapper", None):
            # A list, since a generator would run only in the hands of the engine.
            _replace(
                step, "mapper", around(Site(name, "map"), lambda batch, mapper=mapper: list(mapper(batch)))
            )
        if builder := getattr(step, "builder", None):
            _replace(step, "builder", _builder(name, builder, around))
        for connector in (getattr(step, each, None) for each in ("source", "sink")):
            for build in ("build_part", "build"):  # of parts that have a state, and of others
                if hasattr(connector, build):
                    setattr(connector, build, _builder(name, getattr(connector, build), around))


def _steps(above: Any) -> Iterator[Any]:
    """Yield the steps that the engine runs: those that are not made of others."""
    for step in above.substeps:
        if step.substeps:
            yield from _steps(step)
        else:
            yield step


def _replace(step: object, name: str, value: object) -> None:
    object.__setattr__(step, name, value)  # a step is frozen


def _builder(name: str, build: Call, around: Around) -> Call:
    def built(*args: Any) -> Any:
        made = build(*args)
        for method in _CALLED:
            if hasattr(made, method):
                setattr(made, method, around(Site(name, method, made), getattr(made, method)))
        return made

    return around(Site(name, "build"), built)
