"""A bounded file as P logical partitions, each with the events that the topic's partition of that number would hold.

order        by (time, agent id, row); with as_is the file's own
partition    of an event: kernels.hashing.partition_of(agent id, P)
of a row that is no event: its number in the file modulo P, as it may have no agent
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import partition_of
from kernels.schema import Columns, column_dtype
from operators.canonical_mapping import canonical_mapping
from operators.mapping import Mapped, Mapping
from operators.raw_batch import JSON_TYPE, RawBatch
from operators.readers import read_batches, schema_columns

__all__ = ["DeadRow", "PartitionRows", "load_partitioned"]

_BATCH_ROWS = 65_536


class DeadRow(NamedTuple):
    """A row that is no event, whole: a JSON object with the source's own keys, or the file's text if it is broken."""

    row: int
    value: bytes
    content_type: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class PartitionRows:
    """The events of one partition of a file.

    Parameters
    ----------
    columns
        N events; contiguous.
    row
        (N,) the number of each in the file, counted from 0.
    dead
        The partition's rows that are no events, by number.
    names
        The text of each of its agents whose id was hashed from one.
    """

    columns: Columns
    row: NDArray[np.int64]
    dead: Sequence[DeadRow]
    names: dict[int, str]


def load_partitioned(
    path: Path, mapping: Mapping | None, partitions: int, *, as_is: bool = False
) -> list[PartitionRows]:
    """Read a whole file into partitions.

    Parameters
    ----------
    path
        A file that `operators.readers` can read.
    mapping
        What its columns mean; None: they have the canonical names and units.
    partitions
        P.
    as_is
        Keep the file's order.

    Raises
    ------
    ConfigError
        No such file, or the mapping does not fit it.
    AuraError
        It cannot be read.
    """
    if mapping is None:
        mapping = canonical_mapping(schema_columns(path))
    found = _read(path, mapping)
    agents, times_us = found.columns["agent_id"], found.columns["time_us"]
    part = partition_of(agents, partitions)
    order = np.argsort(part, kind="stable") if as_is else np.lexsort((agents, times_us, part))
    edges = np.searchsorted(part[order], np.arange(partitions + 1)).tolist()
    columns = {
        name: found.columns.pop(name)[order] for name in list(found.columns)
    }  # never two copies of all
    dead, names, rows = (
        _dead_in(found.dead, partitions),
        _names_in(found.names, partitions),
        found.rows[order],
    )
    return [
        PartitionRows(
            {k: v[low:high] for k, v in columns.items()}, rows[low:high], dead[number], names[number]
        )
        for number, (low, high) in enumerate(pairwise(edges))
    ]


@dataclass
class _File:
    """The events of a file in its order, and what else it holds."""

    columns: Columns
    rows: NDArray[np.int64]
    dead: list[DeadRow]
    names: dict[int, str]


def _read(path: Path, mapping: Mapping) -> _File:
    parts: dict[str, list[NDArray[Any]]] = {name: [np.empty(0, column_dtype(name))] for name in mapping.makes}
    rows, dead = [np.empty(0, np.int64)], []
    names: dict[int, str] = {}
    seen: set[str] = set()
    for batch in read_batches(path, _BATCH_ROWS):
        seen |= set(batch.columns)
        mapped = mapping.apply(batch.table)
        names |= mapped.names
        rows.append(batch.rows[mapped.kept])
        dead += _dead(batch, mapped)
        for name, values in mapped.columns.items():
            parts[name].append(values)
    mapping.check_columns(
        seen or schema_columns(path)
    )  # rows of JSON may lack any key, but not all of them the same
    columns = {name: np.concatenate(parts.pop(name)) for name in mapping.makes}
    return _File(columns, np.concatenate(rows), sorted(dead), names)


def _dead(batch: RawBatch, mapped: Mapped) -> list[DeadRow]:
    values = batch.as_json(list(mapped.bad)) if mapped.bad else []
    unmapped = [
        DeadRow(int(batch.rows[row]), value, JSON_TYPE, reason)
        for (row, reason), value in zip(mapped.bad.items(), values, strict=True)
    ]
    return unmapped + [DeadRow(r.row, r.value, r.content_type, "malformed", r.detail) for r in batch.broken]


def _dead_in(dead: Sequence[DeadRow], partitions: int) -> list[list[DeadRow]]:
    parted: list[list[DeadRow]] = [[] for _ in range(partitions)]
    for row in dead:
        parted[row.row % partitions].append(row)
    return parted


def _names_in(names: dict[int, str], partitions: int) -> list[dict[int, str]]:
    parted: list[dict[int, str]] = [{} for _ in range(partitions)]
    agents = np.fromiter(names, np.uint64, len(names))
    for number, (agent, text) in zip(partition_of(agents, partitions).tolist(), names.items(), strict=True):
        parted[number][agent] = text
    return parted
