"""The newest windows of cells: of each (window, start, shard) the last revision."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Windows"]

_SETTLED_S = 0.4  # the shards of a window close within one epoch of each other


class Shard(NamedTuple):
    """What a shard said last of a window."""

    revision: int
    table: pa.Table


class Start(NamedTuple):
    """One window's cells by shard, and when the last of them came."""

    shards: dict[int, Shard]
    at_s: float


class Windows:
    """Cells by window and start.

    Parameters
    ----------
    limit_bytes
        The oldest starts go first when there are more.
    now
        A clock that never goes back, in seconds.
    """

    def __init__(self, limit_bytes: int, now: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._now, self._bytes = limit_bytes, now, 0
        self._starts: dict[tuple[str, int], Start] = {}
        self.version = 0

    def take(self, table: pa.Table) -> None:
        """Take in rows of cells: what belongs to one (window, start, shard) comes in one table."""
        # Copied: those of a record lie where they lie in its bytes, and Arrow says of each that it would like them aligned.
        start_us = pa.array(np.array(table["start_us"].to_numpy()))
        keys = [table["window"].cast(pa.string()), start_us, table["shard"]]
        plain = pa.table(keys, names=["window", "start_us", "shard"])
        for group in plain.group_by(plain.column_names).aggregate([]).to_pylist():
            same = [pc.equal(column, group[name]) for name, column in zip(group, keys, strict=True)]
            mask = pc.and_(pc.and_(same[0], same[1]), same[2])
            self._put((group["window"], group["start_us"]), group["shard"], table.filter(mask))
        self.version += 1
        self._drop()

    def names(self) -> list[str]:
        """Return the windows that there are cells of."""
        return sorted({window for window, _ in self._starts})

    def starts(self, window: str) -> list[int]:
        """Return the starts that are kept of a window, ascending."""
        return sorted(start for name, start in self._starts if name == window)

    def latest(self, window: str) -> int | None:
        """Return the newest start whose cells are all there, as far as can be told: none came lately, or it is not the newest."""
        starts = self.starts(window)
        if not starts:
            return None
        settled = self._now() - self._starts[window, starts[-1]].at_s > _SETTLED_S
        return starts[-1] if settled or len(starts) == 1 else starts[-2]

    def cells(self, window: str, start_us: int) -> pa.Table | None:
        """Return the cells of a window; None if it is not kept."""
        found = self._starts.get((window, start_us))
        if found is None:
            return None
        tables = [shard.table for shard in found.shards.values()]
        return pa.concat_tables(tables, promote_options="default")

    def dump(self) -> list[pa.Table]:
        """Return all that is kept."""
        return [shard.table for start in self._starts.values() for shard in start.shards.values()]

    def _put(self, key: tuple[str, int], shard: int, table: pa.Table) -> None:
        start, revision = self._starts.get(key, Start({}, 0.0)), int(pc.max(table["revision"]).as_py())
        old = start.shards.get(shard, Shard(0, table.slice(0, 0)))
        if old.revision > revision:
            return
        if "withdrawn" in table.column_names:  # stands for no rows
            table = table.filter(pc.is_null(table["withdrawn"])).drop_columns("withdrawn")
        self._bytes += table.nbytes - old.table.nbytes
        start.shards[shard] = Shard(revision, table)
        self._starts[key] = Start(start.shards, self._now())

    def _drop(self) -> None:
        while self._bytes > self._limit and len(self._starts) > 1:
            oldest = min(self._starts, key=lambda key: key[1])
            self._bytes -= sum(shard.table.nbytes for shard in self._starts.pop(oldest).shards.values())
