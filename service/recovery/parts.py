"""The partitions of a recovery store, as the engine leaves them on disk: read to check them, and rolled back before a start.

Each is an SQLite file. Between them they tell up to where the flow has come:

    snaps     by step, key and epoch: the snapshots
    exs       every execution (start): its number, its workers, the epoch it resumed at
    fronts    by execution and worker: the epoch that the worker is in; all before it is on disk
    commits   by partition: the last epoch whose older snapshots were dropped

An execution's progress is the least of its workers' epochs. When an epoch ends the snapshots are written, then the
fronts, then the commits, and only then does the next one end: the partitions of one store are no further apart.

A crash can leave snapshots of an epoch that is not done. The engine repeats that epoch, with what the sources bring this
time, but does not drop them: a key that has no snapshot in the repetition would, at the start after next, be taken for
what it was in the epoch that never came to its end. So they are dropped before each start.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bytewax.recovery import init_db_dir

from kernels.errors import AuraError

__all__ = ["Part", "check_parts", "make_parts", "progress_of", "read_part", "roll_back"]

_WAIT_S = 5.0  # for whoever holds the file
_TORN = "Put back a copy of the whole folder from one moment, or start over with --fresh"


@dataclass(frozen=True)
class Part:
    """What one partition tells.

    Parameters
    ----------
    stamp
        Of the store that it was made with.
    index, count
        Which partition this is, of how many.
    executions
        (number, workers, epoch it resumed at).
    fronts
        Epochs by (execution, worker).
    committed
        Its last commit; None before the first.
    """

    stamp: int
    index: int
    count: int
    executions: list[tuple[int, int, int]]
    fronts: dict[tuple[int, int], int]
    committed: int | None


def make_parts(folder: Path, count: int, stamp: int) -> None:
    """Make `count` empty partitions in `folder`, each with a stamp that tells them from those of another store."""
    init_db_dir(folder, count)  # type: ignore[no-untyped-call]
    for path in _paths(folder, count):
        with closing(sqlite3.connect(path)) as file, file:
            file.execute(f"PRAGMA application_id = {stamp}")


def check_parts(folder: Path, count: int, stamp: int, *, spread: int) -> int:
    """Return the epoch to resume at, once it is sure that the partitions belong together.

    Parameters
    ----------
    folder
        Of the partitions.
    count, stamp
        With which the store was made.
    spread
        Epochs that a partition's last commit may lie behind.

    Raises
    ------
    AuraError
        One is missing, too many, of another store or time, or damaged.
    """
    expected, found = {p.name for p in _paths(folder, count)}, {p.name for p in folder.glob("*.sqlite3")}
    for names, what in ((expected - found, "missing"), (found - expected, "one too many")):
        if names:
            raise AuraError(f"the recovery store {folder}: {', '.join(sorted(names))} is {what}", _TORN)
    parts = [read_part(path, thorough=True, wait_s=_WAIT_S) for path in _paths(folder, count)]
    for number, part in enumerate(parts):
        if (part.index, part.count, part.stamp) != (number, count, stamp):
            raise AuraError(f"the recovery store {folder}: part-{number} is of another store", _TORN)
    epoch = progress_of(parts)
    for part in parts:
        committed = epoch - 1 if part.committed is None and epoch <= spread + 1 else part.committed or 0
        if not epoch - spread <= committed + 1 <= epoch:
            raise AuraError(
                f"the recovery store {folder}: part-{part.index} is at epoch {committed + 1} where the flow was at "
                f"{epoch}: it is of another time",
                _TORN,
            )
    return epoch


def read_part(path: Path, *, thorough: bool = False, wait_s: float = 0.0) -> Part:
    """Return what a partition tells.

    Parameters
    ----------
    path
        Of its file.
    thorough
        Read all of it to see whether it is whole.
    wait_s
        How long to wait for others who have it locked.

    Raises
    ------
    AuraError
        It cannot be read, or is damaged.
    """
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=wait_s)) as file:
            if thorough and (found := next(_rows(file, "PRAGMA quick_check(1)")))[0] != "ok":
                raise sqlite3.DatabaseError(found[0])
            index, count = next(_rows(file, "SELECT part_index, part_count FROM parts"))
            fronts = _rows(file, "SELECT ex_num, worker_index, worker_frontier FROM fronts")
            return Part(
                stamp=next(_rows(file, "PRAGMA application_id"))[0],
                index=index,
                count=count,
                executions=list(_rows(file, "SELECT ex_num, worker_count, resume_epoch FROM exs")),
                fronts={(execution, worker): epoch for execution, worker, epoch in fronts},
                committed=next(_rows(file, "SELECT max(commit_epoch) FROM commits"))[0],
            )
    except (sqlite3.Error, StopIteration) as error:
        raise AuraError(f"the recovery store's {path} is damaged: {error}", _TORN) from error


def roll_back(folder: Path, count: int) -> int:
    """Drop the snapshots of epochs that are not done; return how many there were. Nobody may write meanwhile.

    Raises
    ------
    AuraError
        A partition cannot be read or written.
    """
    paths, dropped = _paths(folder, count), 0
    # Supervisors of other hosts look at the files too, and who finds the journal of a killed process plays it back.
    epoch = progress_of([read_part(path, wait_s=_WAIT_S) for path in paths])
    for path in paths:
        try:
            with closing(sqlite3.connect(path, timeout=_WAIT_S)) as file, file:
                dropped += file.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (epoch,)).rowcount
        except sqlite3.Error as error:
            raise AuraError(
                f"the recovery store's {path} cannot be written: {error}", "See to its disk"
            ) from error
    return dropped


def progress_of(parts: Sequence[Part]) -> int:
    """Return the epoch that the last execution is in: all before it is on disk. 0: there was none."""
    executions = [execution for part in parts for execution in part.executions]
    if not executions:
        return 0
    number, workers, resumed = max(executions)
    fronts = {key: epoch for part in parts for key, epoch in part.fronts.items()}
    return min(fronts.get((number, worker), resumed) for worker in range(workers))


def _paths(folder: Path, count: int) -> list[Path]:
    return [folder / f"part-{k}.sqlite3" for k in range(count)]


def _rows(file: sqlite3.Connection, query: str) -> Iterator[Any]:
    yield from file.execute(query)
