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
    further
        Type of the columns that a configuration adds to those; nothing if it cannot.
    """

    topic: str
    columns: Mapping[str, str]
    order: tuple[str, ...]
    inexact: frozenset[str] = frozenset()
    further: str = ""

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the numpy type of a column; that of texts is object."""
        code = self.columns.get(name, self.further)
        return np.dtype(object if code == "text" else code)

    def differing(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, tuple[str, str]]:
        """Return what of some columns is not as it should be: by name the type that it has and the one expected."""
        names = dict.fromkeys((*self.columns, *columns))
        asked = [name for name in names if name in self.columns or self.further]
        expected = {name: str(self.dtype(name)) for name in asked}
        got = {name: str(columns[name].dtype) for name in names if name in columns}
        return {
            n: (got.get(n, "none"), expected.get(n, "none")) for n in names if got.get(n) != expected.get(n)
        }


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
    "levels": Kind(  # a step of a region of the hierarchy; further: M_count, M_sum, M_mean, M_state of each metric M
        "aura.levels",
        {
            "time_us": "i8",
            "level": "u1",
            "cx": "i4",
            "cy": "i4",
            "cz": "i4",
            "events": "i8",
            "agents": "i8",
        },
        order=("time_us", "level", "cx", "cy", "cz"),
        further="f8",
    ),
    "directives": Kind(  # from a region to its parent or its children; further: M_value, M_gap of each metric M
        "aura.directives",
        {"time_us": "i8", "level": "u1", "to_level": "u1", "cx": "i4", "cy": "i4", "cz": "i4"},
        order=("time_us", "level", "to_level", "cx", "cy", "cz"),
        further="f8",
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
    degradation
        The level that it was made at, 0 to 4; None where a run cannot degrade.
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
    degradation: int | None = None

    def __post_init__(self) -> None:
        if wrong := KINDS[self.kind].differing(self.columns):
            raise TypeError(f"result {self.kind}: columns (got, expected): {wrong}")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))
