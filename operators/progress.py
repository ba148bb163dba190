"""How far a bounded source has come: written by its partitions, read by whoever shows it."""

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(slots=True)
class Progress:
    """Rows read so far, of how many (0: not known)."""

    total: int = 0
    done: int = 0
