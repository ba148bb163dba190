"""Events that name their cause must come after it, wherever that is: causes and effects meet in a step keyed by the cause.

    combine   every event with a number of its own says so to the key of its agent; every event that names a cause asks
              the key of that
    step      a question is answered once no event can come any more that would change the answer: when the least watermark
              of all partitions, idle ones included, has passed the effect's time, the wait and the lateness

So an answer is never revised. An event that is late beyond the lateness is neither cause nor effect.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.causes import NEVER_US, Identities, gaps_us
from kernels.hashing import partition_of
from kernels.schema import Columns
from operators.batch import Batch, take
from operators.result import Result
from operators.state import pack, unpack
from operators.violation import violation
from operators.watermarks import Told, Watermarks, tell

__all__ = ["CAUSES", "AskCauses", "Causes", "Patience"]

CAUSES = ("seq", "cause_agent", "cause_seq")
"""Columns without which no event names a cause."""

_VERSION = 1
_SAID = {"agent_id": "u8", "seq": "u4", "time_us": "i8"}
_ASKED = {"cause_agent": "u8", "cause_seq": "u4"} | _SAID | {"partition": "i4"}


class Patience:
    """How long a cause is waited for, and what else decides when a question can be answered.

    Parameters
    ----------
    wait_us, reach_us
        A cause counts from `reach_us` before its effect to `wait_us` after it.
    lateness_us, horizon_us
        Of events, and how long an idle partition is waited for.
    """

    def __init__(self, *, wait_us: int, reach_us: int, lateness_us: int, horizon_us: int) -> None:
        self.wait_us, self.reach_us, self.lateness_us, self.horizon_us = (
            wait_us,
            reach_us,
            lateness_us,
            horizon_us,
        )


class AskCauses:
    """The step from batches to what each of K keys is told and asked."""

    def __init__(self, keys: int, patience: Patience) -> None:
        self._keys, self._patience = keys, patience

    def __call__(self, batch: Batch) -> Iterator[tuple[str, Told]]:
        """Yield what `batch` says to each key."""
        columns: Columns = {}
        if len(batch):
            late = batch.behind_us is not None and batch.behind_us > self._patience.lateness_us
            columns = batch.columns if late is False else take(batch.columns, ~late)
        own: list[Columns] = [{} for _ in range(self._keys)]
        if columns:
            said = columns["seq"] != 0
            self._deal(own, "said_", take(columns, said), "agent_id", tuple(_SAID))
            asked = take(columns, columns["cause_seq"] != 0)
            asked = asked | {"partition": np.full(len(asked["seq"]), batch.partition, np.int32)}
            self._deal(own, "asked_", asked, "cause_agent", tuple(_ASKED))
        patience = self._patience
        yield from tell(batch, own, tick_us=patience.wait_us, lateness_us=patience.lateness_us)

    def _deal(self, own: list[Columns], prefix: str, rows: Columns, by: str, names: Sequence[str]) -> None:
        key = partition_of(rows[by], self._keys)
        for number in np.unique(key).tolist():
            mine = key == number
            own[number] = own[number] | {prefix + name: rows[name][mine] for name in names}


class Causes:
    """Causes and questions of one key.

    Parameters
    ----------
    partitions
        Of the source.
    patience
        When a question is answered.
    state
        What `snapshot` returned, or None at the start.
    """

    def __init__(self, partitions: int, patience: Patience, state: bytes | None = None) -> None:
        saved: dict[str, Any] = unpack("causes", _VERSION, state) if state is not None else {}
        self._patience = patience
        self._marks = Watermarks(partitions, patience.horizon_us, saved.get("marks"))
        self._said: Columns = saved.get("said", _empty(_SAID))
        self._asked: Columns = saved.get("asked", _empty(_ASKED))

    def on_messages(self, messages: Iterable[Told]) -> list[Result]:
        """Take in what the partitions say; answer what can be answered."""
        for told in messages:
            self._said = _join(self._said, told.columns, "said_")
            self._asked = _join(self._asked, told.columns, "asked_")
            self._marks.put(told.partition, told.watermark_us, idle=told.idle)
        return self._answer()

    def snapshot(self) -> bytes:
        """Return the state of the key."""
        state = {"marks": self._marks.snapshot(), "said": self._said, "asked": self._asked}
        return pack("causes", _VERSION, state)

    def _answer(self) -> list[Result]:
        patience = self._patience
        final_us = self._marks.final_us - patience.lateness_us - patience.wait_us
        due = self._asked["time_us"] <= final_us
        found: list[Result] = []
        if due.any():
            found = list(_answers(self._said, take(self._asked, due), patience))
            self._asked = take(self._asked, ~due)
        needed = self._said["time_us"] >= final_us - patience.reach_us
        if not needed.all():
            self._said = take(self._said, needed)
        return found


def _answers(said: Columns, asked: Columns, patience: Patience) -> Iterator[Result]:
    """Yield a violation for each question whose cause did not come before, in an order of its own."""
    causes = Identities(said["agent_id"], said["seq"], said["time_us"])
    named = Identities(asked["cause_agent"], asked["cause_seq"], asked["time_us"])
    gaps = gaps_us(causes, named, reach_us=patience.reach_us, wait_us=patience.wait_us)
    wrong = np.flatnonzero(gaps != 0)
    names = ("time_us", "agent_id", "seq", "cause_agent", "cause_seq", "partition")
    rows = {tuple(int(asked[name][i]) for name in names): int(gaps[i]) for i in wrong.tolist()}
    for row in sorted(rows):
        yield _violation(dict(zip(names, row, strict=True)), rows[row], patience)


def _violation(row: dict[str, int], gap_us: int, patience: Patience) -> Result:
    if gap_us == NEVER_US:
        reason = f"its cause did not happen within {patience.reach_us * 1e-6:g} s before it"
    else:
        reason = f"its cause happened {gap_us * 1e-6:g} s after it"
    return violation(
        "/".join(str(value) for value in row.values()),
        time_us=row["time_us"], invariant="causal_consistency", subject="agent", what="cause_seq",
        agent_id=row["agent_id"], value=np.nan if gap_us == NEVER_US else gap_us * 1e-6, bound=0.0, reason=reason,
        partition=row["partition"], offset=-1, row=-1,
    )  # fmt: skip


def _empty(dtypes: dict[str, str]) -> dict[str, NDArray[Any]]:
    return {name: np.empty(0, code) for name, code in dtypes.items()}


def _join(held: Columns, told: Any, prefix: str) -> dict[str, NDArray[Any]]:
    if prefix + "time_us" not in told:
        return dict(held)
    return {name: np.concatenate((values, told[prefix + name])) for name, values in held.items()}
