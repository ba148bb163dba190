"""Failing steps."""

import numpy as np
import pytest

from kernels.errors import AuraError
from operators.batch import Batch, Origin
from operators.guard import StepError, guarded


def _fail(_: object) -> None:
    raise ValueError("seven is not eight")


def _refuse(_: object) -> None:
    raise AuraError("the disk is full", "Free some")


def test_a_failure_names_step_origin_and_cause() -> None:
    """Whoever reads the message knows which step failed, on which input, and why."""
    at = np.array([40, 41])
    batch = Batch({}, Origin("aura.events", 3, at, at, at), 0, 0)
    expected = r"step score failed on aura.events\[3\] offset 40 to 41: ValueError: seven is not eight"
    with pytest.raises(StepError, match=expected):
        guarded("score", _fail)(batch)


def test_a_hint_is_kept() -> None:
    """A failure that says what to do still does."""
    with pytest.raises(StepError, match=r"step sink failed: the disk is full\. Free some"):
        guarded("sink", _refuse)(None)
