"""A failing step ends the run with one clear message: which step, on what input, why, and what to do.

`guard_flow` guards every step of a flow in all that the engine calls of it; `guarded` what a step does with one item,
so that the item's origin can be named. What names its step already goes out as it is; so does a mistake in the
configuration, which names its key, and so do the engine's own signals.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from bytewax.dataflow import Dataflow
from bytewax.inputs import AbortExecution

from kernels.errors import AuraError, ConfigError
from operators.batch import Batch
from operators.message import Message
from operators.session_combine import SessionMessage
from operators.wrap import Call, Site, wrap

__all__ = ["StepError", "failing", "guard_flow", "guarded"]

X = TypeVar("X")
Y = TypeVar("Y")

_HINT = "This is a fault in the step, not in the input: please report it with the traceback"


class StepError(AuraError):
    """A step of the flow failed."""


@contextmanager
def failing(step: str, place: str = "") -> Iterator[None]:
    """Raise what fails in the block as a `StepError`.

    Parameters
    ----------
    step
        The step's name in the flow.
    place
        Where its input came from.
    """
    try:
        yield
    except (StepError, ConfigError, StopIteration, AbortExecution):
        raise
    except AuraError as error:
        raise StepError(_message(step, place, error.message), error.hint) from error
    except Exception as error:
        raise StepError(_message(step, place, f"{type(error).__name__}: {error}"), _HINT) from error


def guarded(step: str, run: Callable[[X], Y]) -> Callable[[X], Y]:
    """Return `run`, its failures raised as a `StepError` that names the step and the origin of its one argument.

    Parameters
    ----------
    step
        The step's name in the flow.
    run
        Takes one item; a generator is run to its end here, since it would fail in the hands of the engine.
    """

    def guard(item: X) -> Y:
        try:
            found = run(item)
            return list(found) if isinstance(found, Iterator) else found  # type: ignore[return-value]
        except Exception:
            with failing(step, _place([item])):
                raise

    return guard


def guard_flow(flow: Dataflow) -> Dataflow:
    """Return a flow all of whose steps name themselves when they fail, keyed steps, source and sink among them."""
    wrap(flow, _guard_call)
    return flow


def _guard_call(site: Site, call: Call) -> Call:
    def guard(*args: Any) -> Any:
        try:
            return call(*args)
        except Exception:
            items = args[0] if args and isinstance(args[0], list) else []
            with failing(site.step, _place(items)):
                raise

    return guard


def _message(step: str, place: str, cause: str) -> str:
    return f"step {step} failed{f' on {place}' if place else ''}: {cause}"


def _place(items: Sequence[object]) -> str:
    """Return where items came from, as far as that is known."""
    batches = [each for each in items if isinstance(each, Batch)]
    if batches:
        return " and ".join(dict.fromkeys(str(batch.origin) for batch in batches))
    messages = [each for each in items if isinstance(each, Message | SessionMessage)]
    if not messages:
        return ""
    partitions = sorted({number for message in messages for number in _partitions(message)})
    return f"shard {messages[0].shard}, events of partitions {', '.join(map(str, partitions))}"


def _partitions(message: Message | SessionMessage) -> list[int]:
    if isinstance(message, SessionMessage):
        return [message.partition]
    return [mark.partition for mark in message.marks]
