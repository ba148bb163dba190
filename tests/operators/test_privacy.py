from base64 import b64decode, b64encode
from typing import Any

import numpy as np
import pytest

from kernels.frame import decode_frame, encode_frame
from operators.batch import Alerts
from operators.cells import Cells
from operators.privacy import Privacy
from operators.pseudonyms import Pseudonyms
from operators.violation import violation

KEY = bytes(range(16))


def cells(revision: int = 0) -> Cells:
    """Three cells of one window, two starts."""
    columns: dict[str, Any] = {
        "window": np.zeros(3, np.int16), "start_us": np.array([0, 0, 60]), "end_us": np.array([60, 60, 120]),
        "count": np.array([9, 9, 9]), "revision": np.full(3, revision, np.int32),
    }  # fmt: skip
    return Cells(2, columns, ["minute"])


def test_small_cells_are_withheld() -> None:
    """Fewer than k agents, whatever the number of events."""
    kept, said = Privacy(5, enforce=True).apply(cells(), np.array([4, 5, 1]))
    assert kept.columns["start_us"].tolist() == [0]
    assert said == []


def test_small_cells_are_reported_and_stay() -> None:
    """A line for each start that has any, with their number."""
    kept, said = Privacy(5, enforce=False).apply(cells(), np.array([4, 5, 1]))
    assert len(kept) == 3
    assert [(r.id, r.columns["value"][0], r.columns["bound"][0]) for r in said] == [
        ("minute/0/2/privacy", 1, 5),
        ("minute/60/2/privacy", 1, 5),
    ]


def test_an_amendment_voids_what_was_reported() -> None:
    """After it no cell is too small: the revision says so by having no row."""
    _, said = Privacy(2, enforce=False).apply(cells(revision=1), np.array([4, 5, 3]))
    assert [(r.revision, len(r)) for r in said] == [(1, 0), (1, 0)]


def test_an_agent_has_one_pseudonym_in_every_result() -> None:
    """In alerts, in columns and in the slice of the input; and not its id, nor its text."""
    frame = {name: np.ones(1, np.float32) for name in ("x_m", "y_m", "z_m")}
    frame |= {"agent_id": np.array([7], np.uint64), "time_us": np.array([1])}
    text = b64encode(encode_frame(frame)).decode()
    apply = Pseudonyms(KEY)
    alert = apply(Alerts([{"agent_id": 7, "agent": "4b1814"}]))
    found = apply(violation("t/0/1/2", agent_id=7, slice=text))
    assert isinstance(alert, Alerts)
    other = alert.rows[0]["agent_id"]
    assert other != 7
    assert alert.rows[0]["agent"] is None
    assert found.columns["agent_id"][0] == other  # type: ignore[union-attr]
    assert decode_frame(b64decode(found.columns["slice"][0])).columns["agent_id"][0] == other  # type: ignore[union-attr]


def test_another_key_gives_other_pseudonyms() -> None:
    """Nothing links two of them."""
    one, two = (Pseudonyms(key)(Alerts([{"agent_id": 7, "agent": "x"}])) for key in (KEY, KEY[::-1]))
    assert one.rows[0]["agent_id"] != two.rows[0]["agent_id"]  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [15, 17])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    """It says what it needs."""
    with pytest.raises(ValueError, match="16 bytes"):
        Pseudonyms(bytes(size))(Alerts([{"agent_id": 7, "agent": "x"}]))
