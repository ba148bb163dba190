"""How processes on several hosts agree on a start: by files in the recovery directory, which all of them see.

    round      number 0 begins a start: a name that was not used before, and how many processes there are to be
    ready-K    number K has joined the round of that name: its own process of the start before is gone

Number 0 goes on when all have joined: so nobody is left who writes into the store, and it may be rolled back. The others
wait for a round of their size that is new to them. One that fails makes the others fail, number 0 too, which begins another.
One that fails before all have found each other leaves the rest waiting: the supervisor ends such a start after a while.
"""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Rounds"]

_ROUND = "round"


@dataclass
class Rounds:
    """The rounds as one process sees them.

    Parameters
    ----------
    directory
        The recovery directory.
    number
        Of the process.
    """

    directory: Path
    number: int
    _name: str | None = None  # of the round that was joined last, or that is begun

    def may_start(self, size: int) -> bool:
        """Return whether this process may start now, as one of `size`; to be asked again until it may."""
        return self._lead(size) if self.number == 0 else self._follow(size)

    def _lead(self, size: int) -> bool:
        if self._name is None or self._read(_ROUND) != [self._name, size]:
            self._name = uuid.uuid4().hex
            self._write(_ROUND, [self._name, size])
        if any(self._read(f"ready-{k}") != self._name for k in range(1, size)):
            return False
        self._name = None  # the next start is a round of its own
        return True

    def _follow(self, size: int) -> bool:
        found = self._read(_ROUND)
        if not isinstance(found, list) or found[1] != size or found[0] == self._name:
            return False
        self._name = found[0]
        self._write(f"ready-{self.number}", self._name)
        return True

    def _read(self, name: str) -> object:
        try:
            return json.loads((self.directory / name).read_text())
        except (OSError, ValueError):
            return None

    def _write(self, name: str, value: object) -> None:
        temporary = self.directory / f".{name}"
        temporary.write_text(json.dumps(value))
        temporary.replace(self.directory / name)
