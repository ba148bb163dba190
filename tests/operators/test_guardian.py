"""The watch in the source partition: what a violation says, where it stood, and the slice that reproduces it."""

from base64 import b64decode

import numpy as np

from kernels.frame import decode_frame
from kernels.grid import Grid
from kernels.schema import Columns
from kernels.watch import Bounds
from operators.batch import Alerts, Batch, Origin
from operators.guardian import QUARANTINED
from operators.ingest import Ingest, IngestConfig
from operators.result import Result

GRID = Grid((0.0, 0.0, 0.0), (10.0, 10.0, 10.0), (10, 10, 10))
CONFIG = IngestConfig(
    GRID, (), least_lateness_us=0, lateness_us=10**9,
    watch=Bounds(power=10.0, slack=1.0, ranges={"speed_mps": (0.0, 50.0)}, quarantine_us=5_000_000),
)  # fmt: skip
ORIGIN = Origin.of_record("flights", 3, 70)


def events(*rows: tuple[int, float, float, float]) -> Columns:
    """Columns of (agent, seconds, energy, speed)."""
    agent, time_s, energy, speed = (np.array(column) for column in zip(*rows, strict=True))
    columns: Columns = {"agent_id": agent.astype(np.uint64), "time_us": (time_s * 1e6).astype(np.int64)}
    columns |= {name: np.full(len(rows), 5, np.float32) for name in ("x_m", "y_m", "z_m")}
    return columns | {"energy": energy.astype(np.float32), "speed_mps": speed.astype(np.float32)}


def violations(batch: Batch) -> list[dict[str, object]]:
    """The violations of a batch as rows."""
    found = [o for o in batch.outputs if isinstance(o, Result)]
    return [{name: values[0].item() if values.dtype != object else values[0] for name, values in r.columns.items()}
            for r in found]  # fmt: skip


def test_a_jump_of_energy_is_a_violation_with_its_place_and_words() -> None:
    """The second event of agent 7 gains 100 J/kg in a second; nine more are allowed than ten."""
    batch = Ingest(CONFIG).accept(events((7, 0, 0, 10), (8, 0, 50, 10), (7, 1, 100, 10)), ORIGIN)
    (row,) = violations(batch)
    assert (row["invariant"], row["agent_id"], row["value"], row["bound"]) == (
        "energy_conservation",
        7,
        100.0,
        11.0,
    )
    assert (row["topic"], row["partition"], row["offset"], row["row"]) == ("flights", 3, 70, 2)
    assert row["reason"] == "energy changed by 100 within 1.000 s, at most 11"


def test_a_violation_can_be_reproduced_from_its_slice() -> None:
    """A fresh watch over the two events of the slice finds the same again."""
    batch = Ingest(CONFIG).accept(events((7, 0, 0, 10), (7, 1, 100, 10)), ORIGIN)
    (row,) = violations(batch)
    again = Ingest(CONFIG).accept(dict(decode_frame(b64decode(str(row["slice"]))).columns), ORIGIN)
    (same,) = violations(again)
    assert {k: same[k] for k in ("invariant", "what", "value", "bound", "reason")} == {
        k: row[k] for k in ("invariant", "what", "value", "bound", "reason")
    }


def test_an_agent_is_in_quarantine_until_it_has_been_clear_long_enough() -> None:
    """The violation and what follows within five seconds are marked; other agents are not; one alert is raised."""
    rows = [(7, 0, 0, 10), (7, 1, 0, 60), (8, 1, 0, 10), (7, 2, 0, 70), (7, 6.9, 0, 10), (7, 7.1, 0, 10)]
    batch = Ingest(CONFIG).accept(events(*rows), ORIGIN)
    assert batch.columns[QUARANTINED].tolist() == [0, 1, 0, 1, 1, 0]
    (alerts,) = [o for o in batch.outputs if isinstance(o, Alerts)]
    (alert,) = alerts.rows
    assert (alert["agent_id"], alert["time_us"]) == (7, 1_000_000)
    assert alert["reason"] == "information_bounds: speed_mps is 60, beyond 50; in quarantine"


def test_a_restart_forgets_nothing() -> None:
    """From a snapshot the watch goes on: the jump and the quarantine are over the border."""
    first = Ingest(CONFIG)
    first.accept(events((7, 0, 0, 60)), ORIGIN)
    batch = Ingest(CONFIG, first.snapshot()).accept(events((7, 1, 100, 10)), ORIGIN)
    assert batch.columns[QUARANTINED].tolist() == [1]
    assert [row["invariant"] for row in violations(batch)] == ["energy_conservation"]
