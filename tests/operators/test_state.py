"""Snapshots as plain data."""

import numpy as np
import pytest

from kernels.errors import AuraError
from operators.state import pack, unpack


def test_arrays_and_primitives_come_back() -> None:
    """What is packed is unpacked: arrays with type and shape, nested plain data, integer keys."""
    state = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": [1, None, "x", b"y", True],
        "c": {-5: 2**62},
    }
    got = unpack("s", 3, pack("s", 3, state))
    assert got["a"].dtype == np.float32
    assert got["a"].tolist() == state["a"].tolist()
    assert (got["b"], got["c"]) == (state["b"], state["c"])
    got["a"][0, 0] = 9  # it is the reader's own


@pytest.mark.parametrize(
    "data", [pack("s", 2, {}), pack("other", 3, {}), b"\x00", b"", pack("s", 3, {"a": 1})[:-1]]
)
def test_other_state_is_refused(data: bytes) -> None:
    """State of another version or step, or damaged state, is refused with what to do."""
    with pytest.raises(AuraError, match="empty recovery directory"):
        unpack("s", 3, data)


def test_objects_are_refused() -> None:
    """Nothing but plain data can get into a snapshot."""
    with pytest.raises(TypeError, match="not object"):
        pack("s", 1, {"a": object()})
