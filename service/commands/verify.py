"""`aura verify`: whether two sets of results are the same, and if not, where they begin to differ.

Compared are the exact columns, in the windows that are closed in both:

    a folder        all of its windows, or those that `closed` in its summary.json names, as the replay of a range writes it
    kafka:PREFIX    from the first to the last of each window that is there, since more are to come

Exit codes: 0 they are equal, 1 they differ.
"""

import json
from typing import Annotated, Any

import typer

from service.commands.options import AsJson, Profile, Set, settings_of

__all__ = ["EXAMPLES", "command"]

EXAMPLES = (
    "Examples: aura verify out out/replay | aura verify kafka: kafka:replay. | aura verify kafka: out --json"
)


def command(
    live: Annotated[
        str,
        typer.Argument(help="Folder of results, or kafka:PREFIX; kafka: alone for the configured prefix."),
    ],
    replay: Annotated[
        str,
        typer.Argument(help="Folder of results, or kafka:PREFIX; kafka: alone for the configured prefix."),
    ],
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Compare two sets of results; where they differ, print the first row that does."""
    from service.verify import read_side, verify

    settings = settings_of(profile, set_)
    found = verify(read_side(live, settings), read_side(replay, settings))
    print(json.dumps(found) if as_json else _in_words(found, (live, replay)))
    raise typer.Exit(0 if found["equal"] else 1)


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
