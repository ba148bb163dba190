"""The numbers under which results of ticks are said again, where a tick that has closed is not final."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from operators.result import Result

__all__ = ["Revisions"]


class Revisions:
    """How often something was said about each result of the ticks that are not final.

    Parameters
    ----------
    said
        What `snapshot` returned, or None at the start.

    Examples
    --------
    >>> import numpy as np
    >>> from operators.result import KINDS
    >>> none = {name: np.empty(0, KINDS["agents"].dtype(name)) for name in KINDS["agents"].columns}
    >>> some = {name: np.ones(1, values.dtype) for name, values in none.items()}
    >>> revisions, tick = Revisions(), 7
    >>> [list(revisions.number(tick, [Result("agents", "8/0", rows)])) != [] for rows in (none, some, none)]
    [False, True, True]
    >>> [each.revision for each in revisions.number(tick, [Result("agents", "8/0", some)])]
    [2]
    """

    def __init__(self, said: dict[int, dict[str, int]] | None = None) -> None:
        self._said = said or {}

    def number(self, tick: int, results: Iterable[Result]) -> Iterator[Result]:
        """Yield what a tick says, each with its revision; no rows say nothing where nothing was said before."""
        said = self._said.setdefault(tick, {})
        for result in results:
            key = f"{result.kind}/{result.id}"
            if key in said or len(result):
                said[key] = said.get(key, -1) + 1
                yield replace(result, revision=said[key])

    def forget(self, first: int) -> None:
        """Drop the ticks below `first`, which are final."""
        self._said = {tick: said for tick, said in self._said.items() if tick >= first}

    def snapshot(self) -> dict[int, dict[str, int]]:
        """Return the state as plain data."""
        return self._said
