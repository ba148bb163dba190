"""What stands in the output already, so that a restarted writer neither doubles nor contradicts it.

A writer that restarts goes back to its last durable snapshot and comes to the same results again. For each id the log
past that snapshot holds a row of contents, and the rule is:

    the result is one of them        it is dropped, and so are those before it: the log goes on behind it
    the result is none of them       it goes out as the revision after the last in the log; the rest is void
    later revisions of that id       are numbered on from there

So the last revision in the log is what this run said last, or what the run before said later and this one will come
to: the events that it was made from are in the input for good. What has not been met again is part of the snapshot,
since a second crash must not forget what the first one left.
"""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Committed"]


@dataclass(slots=True)
class _Entry:
    """The last revision of an id in the log, and the contents from the oldest on that were not met again."""

    revision: int
    contents: list[bytes] = field(default_factory=list)


class Committed:
    """The ids that an earlier life of this writer put out.

    Parameters
    ----------
    state
        What `state` returned, or nothing.

    Examples
    --------
    >>> seen = Committed()
    >>> seen.note("w", 0, b"old")
    >>> seen.admit("w", 0, b"old"), seen.admit("x", 0, b"other")
    (None, 0)
    """

    def __init__(self, state: list[list[Any]] | None = None) -> None:
        self._entries = {key: _Entry(revision, list(contents)) for key, revision, contents in state or ()}

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, key: str, revision: int, content: bytes) -> None:
        """Take in a record of the log; they come in its order."""
        entry = self._entries.setdefault(key, _Entry(revision))
        entry.revision = max(entry.revision, revision)
        entry.contents.append(content)

    def admit(self, key: str, revision: int, content: bytes) -> int | None:
        """Return the revision under which a result goes out, or None if it stands in the log."""
        entry = self._entries.get(key)
        if entry is None:
            return revision
        if content in entry.contents:
            del entry.contents[: entry.contents.index(content) + 1]
            if not entry.contents and entry.revision <= revision:
                del self._entries[key]
            return None
        entry.contents.clear()
        entry.revision = max(revision, entry.revision + 1)
        return entry.revision

    def state(self) -> list[list[Any]]:
        """Return the ids as plain data."""
        return [[key, entry.revision, list(entry.contents)] for key, entry in self._entries.items()]
