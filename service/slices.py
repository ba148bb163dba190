"""The slices of the input that violations carry, as an archive."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kernels.errors import AuraError, ConfigError
from kernels.frame import decode_frame
from kernels.schema import Columns, column_dtype
from operators.archive import ArchiveWriter
from operators.archive_files import Archive
from operators.batch import Origin, length, take
from operators.decoded import Decoded

__all__ = ["archive_slices"]

_WITHOUT_LIMIT = 2**62


def archive_slices(
    violations: Path, folder: Path, *, invariant: str | None = None, agent: int | None = None
) -> dict[str, int]:
    """Write the slices of the violations in a file into a new archive of one partition, in the order of event time.

    Raises
    ------
    AuraError
        There is no such file, or none of its violations is of that kind or has a slice.
    ConfigError
        The folder is there already.
    """
    if not violations.exists():
        raise AuraError(
            f"{violations} is not there", "Run with --flows safety, or name the folder with --out"
        )
    if folder.exists():
        raise ConfigError(f"--to {folder}: it is there already", "Name a folder that is not")
    table = pq.read_table(violations, columns=["invariant", "agent_id", "topic", "slice"])
    kept = pc.not_equal(table["slice"], "")
    if invariant is not None:
        kept = pc.and_(kept, pc.equal(table["invariant"], invariant))
    if agent is not None:
        kept = pc.and_(kept, pc.equal(table["agent_id"], np.uint64(agent)))
    table = table.filter(kept)
    if not table.num_rows:
        raise AuraError("no violation with a slice of its input is among those asked for")
    events = _events([b64decode(text) for text in table["slice"].to_pylist()])
    _write(events, folder, table["topic"][0].as_py())
    return {"violations": table.num_rows, "events": length(events)}


def _events(slices: list[bytes]) -> Columns:
    """Return the events of all slices, each once; of two forms of one event the whole one, which ends a slice."""
    frames = [decode_frame(data).columns for data in slices]
    names = tuple(dict.fromkeys(name for frame in frames for name in frame if name != "quarantined"))
    columns = {name: np.concatenate([_column(frame, name) for frame in frames]) for name in names}
    whole = np.concatenate([np.arange(length(frame)) == length(frame) - 1 for frame in frames])
    seq = columns.get("seq", np.zeros(len(whole), np.uint32))
    order = np.lexsort((~whole, seq, columns["agent_id"], columns["time_us"]))
    columns = take(columns, order)
    identity = np.stack(
        [columns["time_us"].view(np.uint64), columns["agent_id"], seq[order].astype(np.uint64)]
    )
    first = np.concatenate(([True], (identity[:, 1:] != identity[:, :-1]).any(axis=0)))
    return take(columns, first)


def _column(frame: Columns, name: str) -> np.ndarray[Any, Any]:
    if name in frame:
        return frame[name]
    dtype = column_dtype(name)
    return np.full(length(frame), np.nan if dtype.kind == "f" else 0, dtype)


def _write(events: Columns, folder: Path, topic: str) -> None:
    zero = np.zeros(1, np.int64)
    origin = Origin(topic, 0, zero, zero, zero)
    archive = Archive.make(folder, topic, 1, tuple(events))
    with archive.locked():
        writer = ArchiveWriter(archive, 0, start=0, max_bytes=_WITHOUT_LIMIT, max_span_us=_WITHOUT_LIMIT)
        writer.append([Decoded(events, origin, events["time_us"], {}, [])], 1)
        writer.close()
