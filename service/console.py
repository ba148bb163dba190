"""What a run says on the terminal: numbered steps, progress, and a table at the end."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console as Rich
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from operators import progress
from operators.result import KINDS
from service.repeat import repeated

__all__ = ["Console"]

_REFRESH_S = 0.1
_LINE_S = 5.0  # in a log nobody waits for the next line


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

    @contextmanager
    def starting(self, name: str) -> Iterator[list[str]]:
        """Do a step of the start-up in the block, which adds what it found to the list; print it, or that it failed."""
        found: list[str] = []
        try:
            yield found
        except Exception:
            self.step(name, "[red]failed[/red]")
            raise
        self.step(name, "".join(found))

    def say(self, text: str) -> None:
        """Print a line."""
        self._rich.print(text, soft_wrap=True)

    @contextmanager
    def progress(self, source: progress.Progress) -> Iterator[None]:
        """Show how far `source` has come while the block runs: a bar on a terminal, else a line every few seconds."""
        if self._rich.quiet:
            yield
        elif self._rich.is_terminal:
            columns = (TextColumn("  events"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            with Progress(*columns, console=self._rich, transient=True) as bar:
                task = bar.add_task("events", total=source.total or None)
                with repeated(
                    _REFRESH_S,
                    lambda: bar.update(task, completed=source.done, total=source.total or None),
                ):
                    yield
        else:
            with repeated(_LINE_S, lambda: self.say(f"  {_so_far(source)}")):
                yield

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
        if summary["shed"]:
            table.add_row("shed", f"{summary['shed']:,}", places.get("decisions", ""))
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


def _so_far(source: progress.Progress) -> str:
    of_all = f" of {source.total:,} ({source.done / source.total:.0%})" if source.total else ""
    return f"{source.done:,}{of_all} events"
