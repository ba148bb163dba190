"""A failing step ends the run with one clear message: which step, on what input, why, and what to do."""

from collections.abc import Callable
from typing import TypeVar

from kernels.errors import AuraError
from operators.batch import Batch

__all__ = ["StepError", "guarded"]

X = TypeVar("X")
Y = TypeVar("Y")


class StepError(AuraError):
    """A step of the flow failed."""


def guarded(step: str, run: Callable[[X], Y]) -> Callable[[X], Y]:
    """Return `run`, its failures raised as a `StepError` that names the step and the origin of the input.

    Parameters
    ----------
    step
        The step's name in the flow.
    run
        Takes one item.
    """

    def guard(item: X) -> Y:
        try:
            return run(item)
        except AuraError as error:
            raise StepError(_message(step, item, error.message), error.hint) from error
        except Exception as error:
            hint = (
                "This is a fault in the step, not in the input: the log holds the traceback; please report it"
            )
            raise StepError(_message(step, item, f"{type(error).__name__}: {error}"), hint) from error

    return guard


def _message(step: str, item: object, cause: str) -> str:
    place = f" on {item.origin}" if isinstance(item, Batch) else ""
    return f"step {step} failed{place}: {cause}"
