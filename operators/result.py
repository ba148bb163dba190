"""Results of the flows beside the cells: what a `Result` is, and the registry of its kinds.

A new kind takes one entry in `KINDS` and its topic in infra/kafka/topics.toml. From that follow its Parquet file, its
records and how they are read back, its canonical order, its digest, and its line in the table that a run prints.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Kind", "Result"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What all results of a kind have in common.

    Parameters
    ----------
    topic
        Its topic, before the prefix of the configuration.
    columns
        Names and types in the order in which they are published: i1 to i8, u1 to u8, f4, f8, `?`, or `text`.
    order
        Columns that tell each row from every other one, the first of them never null: the canonical order.
    inexact
        Columns that may differ between equal results: what a model or floating point in another order gives.
    """

    topic: str
    columns: Mapping[str, str]
    order: tuple[str, ...]
    inexact: frozenset[str] = frozenset()

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the numpy type of a column; that of texts is object."""
        code = self.columns[name]
        return np.dtype(object if code == "text" else code)


KINDS: dict[str, Kind] = {
    "agents": Kind(  # the state of an agent at the end of a tick, and what is near it
        "aura.agents",
        {
            "time_us": "i8",
            "agent_id": "u8",
            "seen_us": "i8",
            "seq": "u4",
            "level": "u1",
            "shard": "i4",
            "x_m": "f4",
            "y_m": "f4",
            "z_m": "f4",
            "energy": "f4",
            "speed_mps": "f4",
            "heading_rad": "f4",
            "near": "i4",
            "density": "f4",
            "near_heading_rad": "f4",
            "score": "f4",
        },
        order=("time_us", "agent_id"),
        inexact=frozenset({"score", "shard"}),
    ),
    "regions": Kind(  # the agents of a level in a region at the end of a tick: their order, and what they agree on
        "aura.regions",
        {
            "time_us": "i8",
            "cx": "i4",
            "cy": "i4",
            "cz": "i4",
            "level": "u1",
            "agents": "i8",
            "headed": "i8",
            "polarisation": "f8",
            "nematic": "f8",
            "heading_rad": "f4",
            "value_count": "i8",
            "value_mean": "f8",
            "sector": "i4",
            "support": "i8",
        },
        order=("time_us", "cx", "cy", "cz", "level"),
    ),
    "neighbours": Kind(  # the nearest others of an agent at the end of a tick
        "aura.neighbours",
        {"time_us": "i8", "agent_id": "u8", "rank": "i4", "other_id": "u8", "distance_m": "f4"},
        order=("time_us", "agent_id", "rank"),
    ),
    "fields": Kind(
        "aura.fields",
        {"time_us": "i8", "cx": "i4", "cy": "i4", "cz": "i4"}
        | dict.fromkeys(
            ("pheromone", "gradient_x", "gradient_y", "gradient_z", "potential", "information"), "f4"
        ),
        order=("time_us", "cx", "cy", "cz"),
    ),
    "emergence": Kind(
        "aura.emergence",
        {
            "time_us": "i8",
            "phi_nats": "f8",
            "revised_nats": "f8",
            "information_nats": "f8",
            "cut": "u2",
            "moving": "u1",
            "pairs": "f8",
            "reports": "i8",
        },
        order=("time_us",),
        # Made of determinants, whose last bits are the CPU's.
        inexact=frozenset(("phi_nats", "revised_nats", "information_nats", "cut")),
    ),
    "violations": Kind(
        "aura.violations",
        {
            "time_us": "i8",
            "invariant": "text",
            "subject": "text",
            "what": "text",
            "agent_id": "u8",
            "value": "f8",
            "bound": "f8",
            "reason": "text",
            "topic": "text",
            "partition": "i4",
            "offset": "i8",
            "row": "i8",
            "slice": "text",
        },
        order=("time_us", "invariant", "subject", "what", "agent_id", "partition", "offset", "row"),
    ),
}
"""Kinds of results by name: lower-case letters and underscores, since files are named after them."""


@dataclass(frozen=True, slots=True)
class Result:
    """R rows of one kind that belong together: they make one record, and replace those of the revision before.

    Parameters
    ----------
    kind
        One of `KINDS`.
    id
        What the rows are about, unique within the kind, whatever they say: `tick/shard`. It follows from the events alone,
        never from batches or from what else is ready, since a restarted writer finds by it what stands there already.
    columns
        (R,) arrays, exactly the columns of the kind with their types; texts as arrays of object. No rows say that
        there are none: an earlier revision's are void then.
    revision
        0, and one more each time that something else is said about `id`; the last one is the answer.

    Raises
    ------
    TypeError
        The columns are not those of the kind.

    Examples
    --------
    >>> from operators.result import KINDS, Result
    >>> none = {name: np.empty(0, KINDS["agents"].dtype(name)) for name in KINDS["agents"].columns}
    >>> len(Result("agents", "1700000000000000/3", none))
    0
    """

    kind: str
    id: str
    columns: Mapping[str, NDArray[Any]]
    revision: int = 0

    def __post_init__(self) -> None:
        kind = KINDS[self.kind]
        expected = {name: kind.dtype(name) for name in kind.columns}
        got = {name: values.dtype for name, values in self.columns.items()}
        if got != expected:
            wrong = {
                n: (str(got.get(n)), str(expected.get(n)))
                for n in got | expected
                if got.get(n) != expected.get(n)
            }
            raise TypeError(f"result {self.kind}: columns (got, expected): {wrong}")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))
