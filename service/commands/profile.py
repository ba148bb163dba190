"""`aura profile`: time and memory by step of a run, as a table."""

import json
from typing import TYPE_CHECKING

from service.commands.options import AsJson, Profile, Set, Source, settings_of

if TYPE_CHECKING:
    from service.observe.profiler import Cost

__all__ = ["EXAMPLES", "command"]

EXAMPLES = "Examples: aura profile | aura profile --profile reference --set simulate.agents=100000 | aura profile --json"


def command(
    profile: Profile = "flights",
    source: Source = None,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Run a bounded source through the flow, and show the time and the memory of each step."""
    from service.observe.profiler import Cost, profile_run

    found, seconds = profile_run(settings_of(profile, set_, {"input.source": source}))
    if as_json:
        steps = {step: {name: getattr(cost, name) for name in Cost.__slots__} for step, cost in found.items()}
        print(json.dumps({"seconds": round(seconds, 3), "steps": steps}))
    else:
        _show(found, seconds)


def _show(found: "dict[str, Cost]", seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    spent_s = sum(cost.wall_s for cost in found.values())
    table = Table(title=f"{seconds:.2f} s, of which {spent_s:.2f} s in the steps", title_justify="left")
    table.add_column("step", no_wrap=True)
    for column in ("calls", "seconds", "share", "CPU s", "ms a call", "peak MB", "kept MB"):
        table.add_column(column, justify="right")
    for step, cost in found.items():
        table.add_row(
            step, f"{cost.calls:,}", f"{cost.wall_s:.3f}", f"{cost.wall_s / spent_s:.1%}", f"{cost.cpu_s:.3f}",
            f"{1e3 * cost.wall_s / cost.calls:.3f}", f"{cost.peak_bytes / 1e6:.2f}", f"{cost.kept_bytes / 1e6:.2f}",
        )  # fmt: skip
    Console(highlight=False).print(table)
