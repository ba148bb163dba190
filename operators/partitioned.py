"""A bounded file as P logical partitions: the same events in each, in the same order, as a topic's partitions would hold.

    order        by (time, agent id, row); with as_is the file's own
    partition    of an event: kernels.hashing.partition_of(agent id, P)
                 of a row that is no event: its number in the file modulo P, as it may have no agent
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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
    """A row that is no event, whole: as a JSON object with the source's own keys, or as the file's text if it is broken."""

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
    columns, rows, dead, names = _read(path, mapping)
    part = partition_of(columns["agent_id"], partitions)
    order = np.argsort(part, kind="stable") if as_is else np.lexsort((columns["agent_id"], columns["time_us"], part))
    edges = np.searchsorted(part[order], np.arange(partitions + 1))
    columns, rows = {name: values[order] for name, values in columns.items()}, rows[order]
    return [
        PartitionRows(
            {name: values[low:high] for name, values in columns.items()},
            rows[low:high],
            [row for row in dead if row.row % partitions == number],
            names_in[number],
        )
        for number, (low, high) in enumerate(zip(edges, edges[1:], strict=False))
    ]
