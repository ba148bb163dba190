"""The slices of the input that violations carry, as an archive."""

from base64 import b64decode
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kernels.errors import AuraError, ConfigError
from kernels.frame import decode_frame
from kernels.schema import Columns, no_values
from operators.archive import ArchiveWriter
from operators.archive_files import Archive
from operators.batch import Origin, length, take
from operators.decoded import Decoded
from operators.guardian import QUARANTINED

__all__ = ["archive_slices"]

_WITHOUT_LIMIT = 2**62


def archive_slices(
    violations: Path, folder: Path, *, invariant: str | None = None, agent: int | None = None
) -> dict[str, int]:
    """Write the slices of the violations in a file into a new archive, a partition an agent.

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
    order = [
        ("agent_id", "ascending"),
        ("partition", "ascending"),
        ("offset", "ascending"),
        ("row", "ascending"),
    ]
    table = pq.read_table(violations, columns=["invariant", "topic", "slice", *(name for name, _ in order)])
    kept = pc.not_equal(table["slice"], "")
    if invariant is not None:
        kept = pc.and_(kept, pc.equal(table["invariant"], invariant))
    if agent is not None:
        kept = pc.and_(kept, pc.equal(table["agent_id"], np.uint64(agent)))
    table = table.filter(kept).sort_by(order)
    if not table.num_rows:
        raise AuraError("no violation with a slice of its input is among those asked for")
    tracks = _tracks(table["agent_id"].to_pylist(), [b64decode(text) for text in table["slice"].to_pylist()])
    _write(tracks, folder, table["topic"][0].as_py())
    return {"violations": table.num_rows, "events": sum(map(length, tracks))}


def _tracks(agents: list[int], slices: list[bytes]) -> list[Columns]:
    """Return the events of each agent in the order in which they came, each once, all with the same columns."""
    frames = [decode_frame(data).columns for data in slices]
    names = tuple(dict.fromkeys(name for frame in frames for name in frame if name != QUARANTINED))
    tracks = []
    for _, own in groupby(zip(agents, frames, strict=True), key=lambda pair: pair[0]):
        whole = [frame for _, frame in own]
        columns = {name: np.concatenate([_column(frame, name) for frame in whole]) for name in names}
        seq = columns.get("seq", np.zeros(length(columns), np.uint32))
        # The event before a violation may be the violation before it, and one event may violate two rules.
        again = (np.diff(columns["time_us"], prepend=0) == 0) & (np.diff(seq, prepend=0) == 0)
        again[0] = False
        tracks.append(take(columns, ~again))
    return tracks


def _column(frame: Columns, name: str) -> np.ndarray[Any, Any]:
    return frame[name] if name in frame else no_values(name, length(frame))


def _write(tracks: list[Columns], folder: Path, topic: str) -> None:
    """Write a partition an agent: what is late is so by its own events alone, as it was not when they came."""
    archive = Archive.make(folder, topic, len(tracks), tuple(tracks[0]))
    with archive.locked():
        for number, events in enumerate(tracks):
            writer = ArchiveWriter(
                archive, number, start=0, max_bytes=_WITHOUT_LIMIT, max_span_us=_WITHOUT_LIMIT
            )
            writer.append([Decoded(events, Origin.of_record(topic, number), events["time_us"], {}, [])], 1)
            writer.close()
