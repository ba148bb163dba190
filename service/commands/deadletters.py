"""`aura deadletters`: look at what could not become events, and send it back."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import AsJson, Profile, Set, settings_of

if TYPE_CHECKING:
    from service.deadletters import Selection

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Show dead letters, and send them back.")

Reason = Annotated[str | None, typer.Option(help="Only those refused for this reason.")]
Partition = Annotated[int | None, typer.Option(help="Only those of this partition of the events.")]
Offset = Annotated[int | None, typer.Option(help="Only those of the record at this offset.")]


@app.command(epilog="Examples: aura deadletters show | aura deadletters show --reason truncated --json")
def show(
    *,
    reason: Reason = None,
    partition: Partition = None,
    offset: Offset = None,
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters: where each came from, which step refused it, why, and its size."""
    from rich.console import Console
    from rich.table import Table

    from service import deadletters

    kafka = settings_of(profile, set_).kafka
    chosen = _selection(reason, partition, offset)
    rows = list(deadletters.show(kafka.client_options(), prefix=kafka.prefix, selection=chosen))
    if as_json:
        print(json.dumps(rows))
        return
    # What one selects by stays whole on a narrow terminal; the detail takes the room that is left.
    table = Table()
    table.add_column("origin", overflow="fold")
    for name in ("row", "stage", "reason", "bytes"):
        table.add_column(name, no_wrap=True)
    table.add_column("detail", overflow="fold")
    for row in rows:
        origin = f"{row['topic']}[{row['partition']}] offset {row['offset']}"
        table.add_row(
            origin, *map(str, (row["row"], row["stage"], row["reason"], row["size"], row["detail"]))
        )
    Console(markup=False).print(table if rows else "no dead letters")


@app.command(epilog="Example: aura deadletters resend --reason position")
def resend(
    *,
    reason: Reason = None,
    partition: Partition = None,
    offset: Offset = None,
    profile: Profile = "flights",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters back to the partition that they came from, in one transaction."""
    from flows.sources import EVENTS_TOPIC
    from service import deadletters

    kafka = settings_of(profile, set_).kafka
    chosen = _selection(reason, partition, offset)
    options, topic = kafka.client_options(), kafka.prefix + EVENTS_TOPIC
    found = deadletters.resend(options, prefix=kafka.prefix, topic=topic, selection=chosen)
    print(json.dumps(found._asdict()) if as_json else f"{found.sent} sent back to {topic}, {found.left} left")


def _selection(reason: str | None, partition: int | None, offset: int | None) -> "Selection":
    from service.deadletters import Selection

    return Selection(reason, partition, offset)
