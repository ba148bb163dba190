"""`aura verify`: whether two sets of results are the same, and if not, where they begin to differ.

Compared are the exact columns, in the windows that are closed in both:

    a folder        all of its windows, or those that `closed` in its summary.json names, as the replay of a range writes it
    kafka:PREFIX    from the first to the last of each window that is there, since more are to come

Exit codes: 0 they are equal, 1 they differ.
"""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kernels.errors import ConfigError
from service.options import AsJson, Profile, Set, settings_of

if TYPE_CHECKING:
    from flows.settings import Settings
    from operators.compare import Closed, Results

__all__ = ["EXAMPLES", "command", "read_side", "verify"]

EXAMPLES = (
    "Examples: aura verify out out/replay | aura verify kafka: kafka:replay. | aura verify kafka: out --json"
)
_KAFKA = "kafka:"


def command(
    live: Annotated[str, typer.Argument(help="Folder of results, or kafka:PREFIX.")],
    replay: Annotated[str, typer.Argument(help="Folder of results, or kafka:PREFIX.")],
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Compare two sets of results; where they differ, print the first row that does."""
    settings = settings_of(profile, set_)
    found = verify(read_side(live, settings), read_side(replay, settings))
    print(json.dumps(found) if as_json else _in_words(found, (live, replay)))
    raise typer.Exit(0 if found["equal"] else 1)


def verify(live: "Results", replay: "Results") -> dict[str, Any]:
    """Return whether two sets of results are equal, what was compared, and the first difference.

    Raises
    ------
    ConfigError
        No window is closed in both.
    """
    from operators.compare import compare

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


def read_side(place: str, settings: "Settings") -> "Results":
    """Return the results in a folder, or in the topics under a prefix.

    Raises
    ------
    ConfigError
        There are none.
    """
    from operators.compare import Results

    if place.startswith(_KAFKA):
        return _read_topics(place, settings)
    import pyarrow.parquet as pq

    folder = Path(place)
    if not (folder / "cells.parquet").is_file():
        raise ConfigError(
            f"{folder} holds no cells.parquet", "Name the folder of a run that has ended, or kafka:PREFIX"
        )
    return Results(pq.read_table(folder / "cells.parquet"), _closed_in(folder / "summary.json"))


def _read_topics(place: str, settings: "Settings") -> "Results":
    import pyarrow as pa
    import pyarrow.compute as pc

    from operators.compare import Results
    from operators.kafka_tables import read_results

    found = read_results(settings.kafka.client_options(), prefix=place.removeprefix(_KAFKA), kinds=("cells",))
    if "cells" not in found:
        raise ConfigError(f"{place} holds no results", "Run with --sink kafka, or name another prefix")
    cells = found["cells"]
    closed = {}
    for name in pc.unique(cells["window"].cast(pa.string())).to_pylist():
        own = cells.filter(pc.equal(cells["window"].cast(pa.string()), name))
        closed[name] = pc.min(own["start_us"]).as_py(), pc.max(own["end_us"]).as_py()
    return Results(cells, closed)


def _closed_in(summary: Path) -> "Closed":
    from kernels.lateness import END_US, START_US

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


def _in_words(found: dict[str, Any], places: tuple[str, str]) -> str:
    from operators.compare import NOT_EXACT

    left_out = "".join(
        f"\n{rows:,} rows of {place} are in windows that are not closed in both"
        for rows, place in zip(found["left_out"], places, strict=True)
        if rows
    )
    if found["equal"]:
        return f"equal: {found['windows']:,} windows, digest {found['digest_live']}{left_out}"
    first = found["first"]
    cell = ", ".join(map(str, first["cell"]))
    rows = [first["live"], first["replay"]]
    lines = [
        f"different: {found['differing']:,} of {found['windows']:,} windows{left_out}",
        f"first in {first['window']} from {first['start_us']}, cell ({cell})",
        *(f"no such row in {place}" for row, place in zip(rows, places, strict=True) if row is None),
    ]
    lines.append(f"  {'':<24} {places[0][-24:]:>24} {places[1][-24:]:>24}")
    for name in rows[0] or rows[1]:
        values = ["" if row is None else str(row[name]) for row in rows]
        mark = "!" if values[0] != values[1] and None not in rows and name not in NOT_EXACT else " "
        lines.append(f"{mark} {name:<24} {values[0]:>24} {values[1]:>24}")
    return "\n".join(lines)
