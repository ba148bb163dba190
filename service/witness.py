"""What a step of a flow in several processes raises, seen on its way out: there the engine forgets it, and panics."""

from collections.abc import Callable, Iterator
from typing import Any

from bytewax.dataflow import Dataflow

__all__ = ["witness"]

Note = Callable[[Exception], None]

_CALLED = ("next_batch", "next_awake", "on_batch", "on_notify", "on_eof", "write_batch", "snapshot", "close")
"""What the engine calls of the objects that it has built."""


def witness(flow: Dataflow, note: Note) -> None:
    """Let `note` be told of what a step of `flow` raises, before the engine is."""
    for step in _steps(flow):
        if mapper := getattr(step, "mapper", None):
            # A list, since a generator would raise only in the hands of the engine.
            _replace(step, "mapper", _noted(lambda batch, mapper=mapper: list(mapper(batch)), note))
        if builder := getattr(step, "builder", None):
            _replace(step, "builder", _builder(builder, note))
        for connector in (getattr(step, name, None) for name in ("source", "sink")):
            if connector is not None:
                connector.build_part = _builder(connector.build_part, note)


def _steps(above: Any) -> Iterator[Any]:
    """Yield the steps that the engine runs: those that are not made of others."""
    for step in above.substeps:
        if step.substeps:
            yield from _steps(step)
        else:
            yield step


def _replace(step: object, name: str, value: object) -> None:
    object.__setattr__(step, name, value)  # a step is frozen


def _builder(build: Callable[..., Any], note: Note) -> Callable[..., Any]:
    def built(*args: Any) -> Any:
        made = build(*args)
        for name in _CALLED:
            if hasattr(made, name):
                setattr(made, name, _noted(getattr(made, name), note))
        return made

    return _noted(built, note)


def _noted(call: Callable[..., Any], note: Note) -> Callable[..., Any]:
    def noted(*args: Any) -> Any:
        try:
            return call(*args)
        except StopIteration:  # the end of a partition
            raise
        except Exception as error:
            note(error)
            raise

    return noted
