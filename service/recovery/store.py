"""The recovery store of a flow: made once, looked over before every start, and refused where going on would misread it.

    DIR/store/         the engine's partitions, and manifest.json: the store's id and the configuration it belongs to
    DIR/done/          the same once the run has ended: on its way out
    DIR/lock           held by whoever runs the flow, and by its processes
    OUT/.parts/run     the id of the store that the unfinished results in OUT belong to

    no store, no results of one           a new run
    no store, but results that had one    refused: it is missing
    a store of another configuration      refused: what has changed is named
    a partition missing, damaged, of another store or time    refused
    a store, its results gone or another's                    refused
    a store that was at its end           cleared away; a new run

A store is renamed into place whole and out of it whole, so that a crash at any point leaves one of these.
"""

import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.recovery import RecoveryConfig

from flows.settings.root import Settings
from kernels.errors import AuraError, ConfigError
from operators.decisions import FILE as DECISIONS
from operators.file_sink import clear_parts
from service.recovery.ownership import claim, owner_of
from service.recovery.parts import check_parts, make_parts, progress_of, read_part, roll_back
from service.recovery.shape import START_OVER, as_begun, compare, shape_of

__all__ = ["DEFAULT", "Store", "directory_of", "with_directory"]

DEFAULT = ".recovery"
"""Name of the recovery directory inside the folder of the results, where none is configured."""
_RUN_FILE = "kafka_run.json"  # what a run into Kafka keeps here (flows.sinks)
_VERSION = 1
_LOCK_S = 5.0  # what a killed supervisor leaves behind is gone by then


@dataclass(frozen=True)
class Store:
    """An open recovery store; the lock lasts until `close`.

    Parameters
    ----------
    directory
        The recovery directory.
    results
        The folder of the results.
    id, partitions
        Of the store.
    epoch, kept
        Time between snapshots, and how many of them are kept.
    resumed_at
        The epoch that the next start resumes at; 0: nothing has been done yet.
    lock
        Descriptor of the lock; None where others hold it.
    """

    directory: Path
    results: Path
    id: str
    partitions: int
    epoch: timedelta
    kept: int
    resumed_at: int
    lock: int | None = field(repr=False, default=None)

    @classmethod
    def open(cls, settings: Settings, *, writers: int, files: bool = True, fresh: bool = False) -> "Store":
        """Return the store of the run that `settings` describes: the one that there is, or a new one.

        Parameters
        ----------
        settings
            Validated; `recovery.directory` says where.
        writers
            Into how many partitions a new store is cut: the processes that are to write at once.
        files
            Whether the results are parts in `sink.directory`, which must be of the same run.
        fresh
            Drop what was done so far.

        Raises
        ------
        AuraError
            Going on would not be exact: see the table above; or another process holds the store.
        """
        directory, results = directory_of(settings), settings.sink.directory
        _private(directory)
        lock = _lock(directory)
        try:
            if fresh or (directory / "done").exists():
                _retire(directory, results, files=files)
            if not (directory / "store").exists():
                _make(directory, results, shape_of(settings), writers)
            store = cls._checked(settings, lock)
            if files:
                claim(store.results, store.id, directory, resumed=store.resumed_at > 0)
        except BaseException:
            os.close(lock)
            raise
        return store

    @classmethod
    def attach(cls, settings: Settings) -> "Store":
        """Return the store that another process has opened: of a flow on several hosts, the first one does that.

        Raises
        ------
        AuraError
            There is none, or it is not of these settings.
        """
        return cls._checked(settings, None)

    @classmethod
    def _checked(cls, settings: Settings, lock: int | None) -> "Store":
        directory, recovery = directory_of(settings), settings.recovery
        manifest = _manifest(directory / "store" / "manifest.json")
        now = as_begun(shape_of(settings), manifest["shape"], directory / "store" / DECISIONS)
        compare(directory, manifest["shape"], now)
        partitions, kept = manifest["partitions"], recovery.snapshots_kept
        at = check_parts(directory / "store", partitions, _stamp(manifest["id"]), spread=kept + 1)
        epoch = timedelta(microseconds=recovery.epoch)
        return cls(directory, settings.sink.directory, manifest["id"], partitions, epoch, kept, at, lock)

    def engine_options(self) -> dict[str, Any]:
        """Return the keyword arguments of `run_main` and `cluster_main` that make snapshots and resume."""
        folder, kept = self.directory / "store", self.epoch * (self.kept - 1)
        config = RecoveryConfig(folder, kept)  # type: ignore[no-untyped-call]
        return {"epoch_interval": self.epoch, "recovery_config": config}

    def progress(self) -> int:
        """Return the epoch that the running flow is in: all before it is on disk. 0: it cannot be told just now."""
        paths = [self.directory / "store" / f"part-{k}.sqlite3" for k in range(self.partitions)]
        try:
            return progress_of([read_part(path) for path in paths])
        except AuraError:  # the engine is at it
            return 0

    def roll_back(self) -> None:
        """Drop what is left of an epoch that a crash has cut short; before each start, and while nobody writes."""
        roll_back(self.directory / "store", self.partitions)

    def finish(self, *, files: bool = True) -> None:
        """Clear everything away once the results are complete."""
        _retire(self.directory, self.results, files=files)

    def close(self) -> None:
        """Let another process open the store."""
        if self.lock is not None:
            os.close(self.lock)


def directory_of(settings: Settings) -> Path:
    """Return the recovery directory: as configured, or inside the folder of the results."""
    return settings.recovery.directory or settings.sink.directory / DEFAULT


def with_directory(settings: Settings) -> Settings:
    """Return the settings with the recovery directory that they imply."""
    recovery = settings.recovery.model_copy(update={"directory": directory_of(settings)})
    return settings.model_copy(update={"recovery": recovery})


def _private(directory: Path) -> None:
    """Make the directory, or refuse one that others may write: the engine reads what lies there as pickles."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ConfigError(
            f"the recovery directory {directory} has mode {found.st_mode & 0o777:o} and owner {found.st_uid}; "
            f"expected 700 and {os.geteuid()}",
            f"Nobody else may write there: chmod 700 {directory}",
        )


def _lock(directory: Path) -> int:
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    end = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(lock)
                raise AuraError(
                    f"another process runs the flow of {directory}",
                    "`aura cluster stop` ends it; one flow has one store",
                ) from None
            time.sleep(0.05)
        else:
            return lock


def _make(directory: Path, results: Path, shape: Mapping[str, Any], partitions: int) -> None:
    """Make a store, unless results say that there was one."""
    if (owner := owner_of(results)) is not None:
        raise AuraError(
            f"{results} holds results that are not complete, and their recovery store {owner} is not in {directory}",
            f"Name its folder with --recovery, {START_OVER}",
        )
    new, name = directory / "new", uuid.uuid4().hex
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    make_parts(new, partitions, _stamp(name))
    manifest = {"version": _VERSION, "id": name, "partitions": partitions, "shape": shape}
    (new / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    new.rename(directory / "store")


def _stamp(name: str) -> int:
    return int(name[:7], 16)  # an SQLite file has room for 31 bits


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        version = manifest["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AuraError(
            f"the recovery store's {path} cannot be read: {error!r}", f"Put it back, {START_OVER}"
        ) from error
    if version != _VERSION:
        raise AuraError(
            f"{path} is of version {version}, expected {_VERSION}",
            f"Run the AURA version that wrote it, {START_OVER}",
        )
    return manifest


def _retire(directory: Path, results: Path, *, files: bool) -> None:
    """Clear away a run: once its store is renamed, nothing can go on with it."""
    store, done = directory / "store", directory / "done"
    if store.exists():
        shutil.rmtree(done, ignore_errors=True)
        store.rename(done)
    if files:
        clear_parts(results)
    (directory / _RUN_FILE).unlink(missing_ok=True)
    shutil.rmtree(done, ignore_errors=True)
