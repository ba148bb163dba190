"""The watch over the agents of one partition: what they violate, as results, alerts and a mark on their events.

It stands in the source partition: what an event is held against is its agent's event before it, and an agent never
changes its partition. Each violation carries a slice of the input, the two events as a frame, from which it can be
reproduced.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.findings import Findings
from kernels.frame import encode_frame
from kernels.schema import Columns
from kernels.watch import RULES, Bounds, Watch
from operators.alerts import FIELDS
from operators.batch import Alerts, Origin
from operators.violation import violation

__all__ = ["QUARANTINED", "Guardian"]

QUARANTINED = "quarantined"
"""The column that marks events of agents in quarantine: 1 or 0."""

_NONE_US = -(2**62)  # of the kernel: there is no event before
_BEFORE = ("time_us", "x_m", "y_m", "z_m", "energy", "seq", "level")
_WORDS = {
    "energy": "energy changed by {value:.6g} within {span_s:.3f} s, at most {bound:.6g}",
    "time_us": "its time went back by {value:.6g} s",
    "seq": "sequence number {value:.0f} after {bound:.0f}",
}
_OUTSIDE = "{column} is {value:.6g}, beyond {bound:.6g}"


class Guardian:
    """Of one partition.

    Parameters
    ----------
    bounds
        What is allowed.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._watch = Watch(bounds)

    def inspect(
        self, columns: Columns, names: Mapping[int, str], origin: Origin, index: NDArray[np.int64] | None
    ) -> tuple[Columns, list[Any]]:
        """Return the N events with their mark, and what is to be said of them.

        Parameters
        ----------
        columns
            (N,) of accepted events in partition order.
        names
            Text of hashed ids.
        origin, index
            Where the rows of the input stood, and (N,) which of them the events are; None: all.
        """
        found = self._watch.check(columns)
        marked = columns | {QUARANTINED: found.quarantined.astype(np.uint8)}
        if not len(found.row):
            return marked, []
        places = origin.locate(found.row if index is None else index[found.row])
        outputs: list[Any] = [
            _violation(columns, found, k, origin, place)
            for k, place in enumerate(zip(*(column.tolist() for column in places), strict=True))
        ]
        alerts = [_alert(columns, names, found, k) for k in np.flatnonzero(found.entered).tolist()]
        return marked, outputs + ([Alerts(alerts)] if alerts else [])

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays."""
        return self._watch.snapshot()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `snapshot` returned."""
        self._watch.restore(state)


def _violation(columns: Columns, found: Findings, k: int, origin: Origin, place: tuple[int, int]) -> Any:
    at, rule, (offset, row) = int(found.row[k]), RULES[found.rule[k]], place
    return violation(
        f"{origin.topic}/{origin.partition}/{offset}/{row}/{rule}/{found.column[k]}",
        time_us=int(columns["time_us"][at]), invariant=rule, subject="agent", what=found.column[k],
        agent_id=int(columns["agent_id"][at]), value=found.value[k], bound=found.bound[k],
        reason=_reason(columns, found, k), topic=origin.topic, partition=origin.partition, offset=offset, row=row,
        slice=b64encode(_slice(columns, found, k)).decode(),
    )  # fmt: skip


def _slice(columns: Columns, found: Findings, k: int) -> bytes:
    """Return the frame of the agent's event before, as far as it is kept, and of the one that is the violation."""
    at, before = int(found.row[k]), found.before[k]
    now = {name: values[at : at + 1] for name, values in columns.items()}
    if before["time_us"] == _NONE_US:
        return encode_frame(now)
    kept = {name: before[name] for name in _BEFORE if name in now} | {"agent_id": now["agent_id"][0]}
    both = {
        name: np.concatenate([np.full(1, kept.get(name, _no_value(values)), values.dtype), values])
        for name, values in now.items()
    }
    return encode_frame(both)


def _no_value(values: NDArray[Any]) -> float:
    return np.nan if values.dtype.kind == "f" else 0


def _reason(columns: Columns, found: Findings, k: int) -> str:
    span_s = (columns["time_us"][found.row[k]] - found.before["time_us"][k]) * 1e-6
    words = (
        _WORDS.get(found.column[k], _OUTSIDE) if RULES[found.rule[k]] != "information_bounds" else _OUTSIDE
    )
    return words.format(column=found.column[k], value=found.value[k], bound=found.bound[k], span_s=span_s)


def _alert(columns: Columns, names: Mapping[int, str], found: Findings, k: int) -> dict[str, Any]:
    at, rule = int(found.row[k]), RULES[found.rule[k]]
    agent_id = int(columns["agent_id"][at])
    place = {axis: float(columns[axis][at]) for axis in ("x_m", "y_m", "z_m")}
    alert: dict[str, Any] = dict.fromkeys(FIELDS)
    return alert | place | {
        "kind": "agent", "time_us": int(columns["time_us"][at]), "agent_id": agent_id, "agent": names.get(agent_id),
        "score": float(found.value[k]), "threshold": float(found.bound[k]), "model": rule,
        "reason": f"{rule}: {_reason(columns, found, k)}; in quarantine",
    }  # fmt: skip
