"""Two sets of results, held against each other: the exact columns, in the windows that are closed in both."""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.settings.root import Settings
from kernels.errors import ConfigError
from kernels.lateness import END_US, START_US
from operators.compare import Closed, Results, compare
from operators.kafka_tables import read_results

__all__ = ["read_side", "verify"]

_KAFKA = "kafka:"


def verify(live: Results, replay: Results) -> dict[str, Any]:
    """Return whether two sets of results are equal, what was compared, and the first difference.

    Raises
    ------
    ConfigError
        No window is closed in both.
    """
    found = compare(live, replay)
    if not found.windows:
        raise ConfigError("no window is closed in both", "Compare a run with the replay of what it read")
    first = None if found.first is None else found.first._asdict()
    if first is not None:
        first |= {side: _plain(first[side]) for side in ("live", "replay")}
    return {
        "equal": found.digests[0] == found.digests[1],
        "windows": found.windows,
        "differing": found.differing,
        "left_out": list(found.left_out),
        "digest_live": found.digests[0],
        "digest_replay": found.digests[1],
        "first": first,
    }


def read_side(place: str, settings: Settings) -> Results:
    """Return the results in a folder, or in the topics under a prefix: by default the configured one.

    Raises
    ------
    ConfigError
        There are none.
    """
    if place.startswith(_KAFKA):
        return _read_topics(place, settings)
    folder = Path(place)
    if not (folder / "cells.parquet").is_file():
        raise ConfigError(
            f"{folder} holds no cells.parquet", "Name the folder of a run that has ended, or kafka:PREFIX"
        )
    return Results(pq.read_table(folder / "cells.parquet"), _closed_in(folder / "summary.json"))


def _read_topics(place: str, settings: Settings) -> Results:
    prefix = place.removeprefix(_KAFKA) or settings.kafka.prefix
    found = read_results(settings.kafka.client_options(), prefix=prefix, kinds=("cells",))
    if "cells" not in found:
        raise ConfigError(f"{place} holds no results", "Run with --sink kafka, or name another prefix")
    cells = found["cells"]
    closed = {}
    for name in pc.unique(cells["window"].cast(pa.string())).to_pylist():
        own = cells.filter(pc.equal(cells["window"].cast(pa.string()), name))
        closed[name] = pc.min(own["start_us"]).as_py(), pc.max(own["end_us"]).as_py()
    return Results(cells, closed)


def _closed_in(summary: Path) -> Closed:
    if not summary.is_file():
        return {}
    closed = json.loads(summary.read_text()).get("closed", {})
    return {
        window: (START_US if first is None else first, END_US if end is None else end)
        for window, (first, end) in closed.items()
    }


def _plain(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a row as JSON can have it: NaN is null."""
    if row is None:
        return None
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()
    }
