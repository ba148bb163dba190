"""What a run says on the terminal: numbered steps, progress, and a table at the end."""

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console as Rich
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from operators import progress
from operators.result import KINDS

__all__ = ["Console"]

_REFRESH_S = 0.1


class Console:
    """Writes for a person; says nothing when `quiet`.

    Parameters
    ----------
    quiet
        For output that a program reads.
    stream
        Where to; standard output by default.
    """

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._rich = Rich(file=stream or sys.stdout, quiet=quiet, highlight=False)
        self._steps = 0

    def step(self, name: str, found: str) -> None:
        """Print the next numbered step of the start-up."""
        self._steps += 1
        self._rich.print(f"[dim]{self._steps}[/dim] [bold]{name}[/bold]  {found}", soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line."""
        self._rich.print(text, soft_wrap=True)

    @contextmanager
    def progress(self, source: progress.Progress) -> Iterator[None]:
        """Show how far `source` has come, on a terminal, while the block runs."""
        if not self._rich.is_terminal or self._rich.quiet:
            yield
            return
        columns = (TextColumn("  events"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._rich, transient=True) as bar:
            task = bar.add_task("events", total=source.total or None)
            done = threading.Event()
            follower = threading.Thread(target=_follow, args=(bar, task, source, done), daemon=True)
            follower.start()
            try:
                yield
            finally:
                done.set()
                follower.join()

    def results(self, summary: Mapping[str, Any], places: Mapping[str, str]) -> None:
        """Print what came out, and for each kind of result where it is."""
        table = Table(
            title=f"AURA: {summary['events_in']:,} events in {summary['seconds']:.2f} s", title_justify="left"
        )
        table.add_column("what")
        table.add_column("how many", justify="right")
        table.add_column("where")
        for name in ("windowed", "filtered", "late", "dead_letters", "duplicates"):
            table.add_row(name.replace("_", " "), f"{summary[name]:,}", places.get(name, ""))
        table.add_section()
        for name in ("cells", "sessions", *KINDS, "alerts"):
            if name in summary:
                table.add_row(name.replace("_", " "), f"{summary[name]:,}", places[name])
        self._rich.print(table)
        lines = [
            f"{summary['events_per_s']:,.0f} events/s, {summary['backend']} ({summary['provider']}), "
            f"level {summary['level']}"
        ]
        if "digest" in summary:
            lines += [f"digest {summary['digest']}", f"scored {summary['digest_scored']}"]
        lines += [f"{kind} {digest}" for kind, digest in summary.get("digests", {}).items()]
        self._rich.print("\n".join(lines), soft_wrap=True)


def _follow(bar: Progress, task: Any, source: progress.Progress, done: threading.Event) -> None:
    while not done.wait(_REFRESH_S):
        bar.update(task, completed=source.done, total=source.total or None)
    bar.update(task, completed=source.done)
