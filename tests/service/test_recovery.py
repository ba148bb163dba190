"""The recovery store: what a run goes on from, and what it refuses to go on from."""

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import run_main

from flows.assemble import Assembled, assemble
from flows.settings.root import Settings, load
from kernels.errors import AuraError, ConfigError
from operators.batch import Alerts, Tally
from operators.drain import DRAIN, Drain
from operators.file_sink import PARTS, FileSink
from service.cluster.backoff import Backoff
from service.cluster.underway import Underway
from service.cluster.witness import witness
from service.collect import collect
from service.recovery.store import Store

PARTITIONS = 3


def _settings(out: Path, **more: str) -> Settings:
    small = {
        "simulate.duration": "2s",
        "recovery.epoch": "1ms",
        "sink.partitions": "2",
        "input.partitions": "2",
    }
    given = small | {"sink.directory": str(out), "recovery.directory": str(out / "recovery")}
    return load("minimal", given | {key.replace("__", "."): value for key, value in more.items()}).settings


def _run(settings: Settings) -> Assembled:
    """Run the flow up to its end, or up to where it is drained; the store stays."""
    store = Store.open(settings, writers=PARTITIONS)
    made = assemble(settings)
    run_main(made.flow, **store.engine_options())  # type: ignore[no-untyped-call]
    store.close()
    return made


@pytest.fixture
def drained_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function that has sources drained after so many batches; None of them for a number below 0."""

    def after(batches: int) -> None:
        monkeypatch.setattr(
            DRAIN, "cut_short", DRAIN.cut_short
        )  # what is counted here is nobody else's business
        left = iter([False] * batches) if batches >= 0 else None

        def check(drain: Drain) -> None:
            if left is not None and next(left, True):
                drain.cut_short += 1
                raise StopIteration

        monkeypatch.setattr(Drain, "check", check)

    return after


def test_drained_and_resumed(tmp_path: Path, drained_after: Callable[[int], None]) -> None:
    """A run that is drained over and over gives what one gives that is not, and closes nothing early."""
    whole = collect(_run(_settings(tmp_path / "whole")), tmp_path / "whole", seconds=0)
    settings = _settings(tmp_path / "cut")
    before = DRAIN.cut_short
    for batches in (0, 1, 7, 3, 12):
        drained_after(batches)
        _run(settings)
    assert DRAIN.cut_short == before + 10
    drained_after(-1)
    made = _run(settings)
    store = Store.open(settings, writers=1)
    assert (store.resumed_at > 0, store.partitions) == (True, PARTITIONS)
    assert collect(made, settings.sink.directory, seconds=0) == whole
    store.finish()
    store.close()
    assert not (settings.sink.directory / "recovery" / "store").exists()


@pytest.mark.parametrize("batches", [19, 20, 21, 22])
def test_restarted_at_the_border_of_a_window(
    tmp_path: Path, drained_after: Callable[[int], None], batches: int
) -> None:
    """Wherever around the last tick of a window the run is cut, that window comes once."""
    whole = collect(_run(_settings(tmp_path / "whole")), tmp_path / "whole", seconds=0)
    settings = _settings(tmp_path / "cut")
    for left in (batches, -1):
        drained_after(left)
        made = _run(settings)
    assert collect(made, settings.sink.directory, seconds=0) == whole


@pytest.fixture
def begun(tmp_path: Path, drained_after: Callable[[int], None]) -> Settings:
    """The settings of a run that was drained in the middle."""
    settings = _settings(tmp_path / "out")
    drained_after(9)
    _run(settings)
    return settings


def _refused(settings: Settings, *words: str) -> None:
    with pytest.raises(AuraError) as caught:
        Store.open(settings, writers=PARTITIONS)
    text = f"{caught.value.message} {caught.value.hint}"
    assert all(word in text for word in (*words, "--fresh")), text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shards__count", "3"),
        ("windows__second__length", "2s"),
        ("metrics__energy__resolution", "0.5"),
        ("simulate__seed", "2"),
        ("sink__partitions", "1"),
        ("input__partitions", "1"),
    ],
)
def test_other_configuration(begun: Settings, key: str, value: str) -> None:
    """A configuration that shapes the state cannot change: the error names the key, the value and the one before."""
    changed = _settings(begun.sink.directory, **{key: value})
    _refused(changed, key.replace("__", "."), value.rstrip("s"))


def test_free_configuration(begun: Settings) -> None:
    """What the results do not depend on may change from start to start."""
    changed = _settings(begun.sink.directory, input__batch_rows="2048", recovery__snapshots_kept="5")
    Store.open(changed, writers=1).close()


def _part(settings: Settings, number: int) -> Path:
    return settings.sink.directory / "recovery" / "store" / f"part-{number}.sqlite3"


def test_missing(begun: Settings) -> None:
    """A store with a partition missing or too many, without its manifest, or gone altogether is refused."""
    store = _part(begun, 0).parent
    kept = _part(begun, 1).read_bytes()
    _part(begun, 1).unlink()
    _refused(begun, "part-1.sqlite3 is missing")
    _part(begun, 1).write_bytes(kept)
    _part(begun, 3).write_bytes(kept)
    _refused(begun, "part-3.sqlite3 is one too many")
    (store / "manifest.json").write_text("{")
    _refused(begun, "manifest.json cannot be read")
    shutil.rmtree(store)
    _refused(begun, "recovery store", "is not in")


def test_corrupt(begun: Settings) -> None:
    """A damaged partition is refused."""
    data = bytearray(_part(begun, 0).read_bytes())
    data[4096:8192] = b"\xff" * 4096
    _part(begun, 0).write_bytes(data)
    _refused(begun, "part-0.sqlite3 is damaged")


@pytest.mark.parametrize("number", range(PARTITIONS))
def test_mixed_age(
    begun: Settings, drained_after: Callable[[int], None], tmp_path: Path, number: int
) -> None:
    """A partition of an earlier time, or of another store, is refused, whichever it is."""
    old = _part(begun, number).read_bytes()
    drained_after(9)
    _run(begun)
    now = _part(begun, number).read_bytes()
    _part(begun, number).write_bytes(old)
    _refused(begun, "of another time")
    _part(begun, number).write_bytes(now)
    Store.open(begun, writers=1).close()
    other = _settings(tmp_path / "other")
    drained_after(9)
    _run(other)
    shutil.copy(_part(other, number), _part(begun, number))
    _refused(begun, f"part-{number} is of another store")


def test_rolled_back(begun: Settings) -> None:
    """What a crash left of an epoch that is not done is dropped before a start; all else stays."""

    def snapshots() -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for number in range(PARTITIONS):
            with closing(sqlite3.connect(_part(begun, number))) as file:
                found += file.execute("SELECT step_id, state_key, snap_epoch FROM snaps").fetchall()
        return found

    store = Store.open(begun, writers=1)
    before = snapshots()
    assert max(epoch for _, _, epoch in before) < store.resumed_at
    with closing(sqlite3.connect(_part(begun, 1))) as file, file:
        into = "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES ('cells.window', '0', ?, x'00')"
        file.executemany(into, [(store.resumed_at,), (store.resumed_at + 1,)])
    store.roll_back()
    assert snapshots() == before
    store.close()


def test_rolled_back_while_others_look(begun: Settings) -> None:
    """A supervisor of another host, which has a partition locked for a moment, is waited for."""
    store, locked = Store.open(begun, writers=1), threading.Event()

    def look() -> None:
        with closing(sqlite3.connect(_part(begun, 1), isolation_level=None)) as file:
            file.execute("BEGIN EXCLUSIVE")
            locked.set()
            time.sleep(0.3)  # so long it takes
            file.execute("ROLLBACK")

    other = threading.Thread(target=look)
    other.start()
    try:
        assert locked.wait(60)
        store.roll_back()
    finally:
        other.join()
        store.close()


def test_results_gone(begun: Settings) -> None:
    """A store whose results are gone or another's is refused; afresh there is nothing left of either."""
    run = begun.sink.directory / PARTS / "run"
    run.write_text("another")
    _refused(begun, "belong to another")
    shutil.rmtree(run.parent)
    _refused(begun, "belong to no recovery store")
    store = Store.open(begun, writers=1, fresh=True)
    assert (store.resumed_at, store.partitions) == (0, 1)
    store.close()


def test_older_version(begun: Settings) -> None:
    """A store of another version is refused by name."""
    manifest = _part(begun, 0).with_name("manifest.json")
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 0'))
    _refused(begun, "version 0")


def test_lock_and_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process at a time holds a store; a folder that others may enter is refused."""
    monkeypatch.setattr("service.recovery.store._LOCK_S", 0.0)
    settings = _settings(tmp_path)
    store = Store.open(settings, writers=1)
    with pytest.raises(AuraError, match="another process"):
        Store.open(settings, writers=1)
    store.close()
    assert store.directory.stat().st_mode & 0o777 == 0o700
    store.directory.chmod(0o755)
    with pytest.raises(ConfigError, match="mode 755"):
        Store.open(settings, writers=1)


def test_interrupted_finish(begun: Settings) -> None:
    """What a crash left while a finished run was cleared away is cleared away, and a new run begins."""
    store = _part(begun, 0).parent
    store.rename(store.with_name("done"))
    opened = Store.open(begun, writers=1)
    assert opened.resumed_at == 0
    assert not store.with_name("done").exists()
    assert [path.name for path in (begun.sink.directory / PARTS).iterdir()] == ["run"]
    opened.close()


def test_parts_past_the_snapshot(tmp_path: Path) -> None:
    """What a crashed writer wrote past its last snapshot is dropped on resume; what is before it stays."""
    alerts = Alerts(
        [{"kind": "agent", "time_us": 1, "agent_id": 2, "revision": 0, "score": 1.0, "threshold": 0.5}]
    )
    build = FileSink(tmp_path, 1).build_part
    writer = build("sink", "0", None)
    writer.write_batch([alerts, Tally(events_in=1, windowed=1)])
    state = writer.snapshot()
    writer.write_batch([alerts])
    writer.snapshot()
    (tmp_path / PARTS / ".alerts-0-2.parquet").write_bytes(b"torn")
    names = {path.name for path in (tmp_path / PARTS).iterdir()}
    assert names == {"alerts-0-0.parquet", "alerts-0-1.parquet", ".alerts-0-2.parquet"}
    again = build("sink", "0", state)
    assert [path.name for path in (tmp_path / PARTS).iterdir()] == ["alerts-0-0.parquet"]
    assert again.snapshot() == state


def test_backoff() -> None:
    """Waits double up to a cap, begin anew after a healthy span, and end after ten failures without progress."""
    backoff = Backoff()
    waits = [backoff.after_failure(up_s=1, progress=epoch) for epoch in range(14)]
    assert waits[:4] == [0.0, 0.1, 0.2, 0.4]
    assert waits[-1] == 30.0
    assert backoff.after_failure(up_s=9, progress=14) == 0.0
    in_vain = [backoff.after_failure(up_s=1, progress=14) for _ in range(9)]
    assert None not in in_vain[:-1]
    assert in_vain[-1] is None
    assert backoff.after_failure(up_s=1, progress=15, vain=False) == 30.0
    assert None not in [backoff.after_failure(up_s=1, progress=15, vain=False) for _ in range(20)]


def test_witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a source, a window or a sink raises is noted before the engine makes a panic of it."""
    for target in (
        "simulated_source._Partition.next_batch",
        "window.ShardWindows.snapshot",
        "file_sink._Partition.write_batch",
    ):
        seen: list[Any] = []
        with monkeypatch.context() as patch:
            patch.setattr(f"operators.{target}", _fails)
            made = assemble(_settings(tmp_path))
            witness(made.flow, seen.append, Underway())
            store = Store.open(_settings(tmp_path), writers=1, fresh=True)
            with pytest.raises(Exception):  # noqa: B017, PT011 (the engine's)
                run_main(made.flow, **store.engine_options())  # type: ignore[no-untyped-call]
            store.close()
        assert "on purpose" in str(seen[0])


def _fails(*_: object) -> None:
    raise RuntimeError("on purpose")


def test_progress_is_read_while_it_is_written(tmp_path: Path) -> None:
    """A store that the engine has locked for a moment tells nothing, and nothing breaks."""
    store = Store.open(_settings(tmp_path), writers=1)
    with closing(sqlite3.connect(store.directory / "store" / "part-0.sqlite3", isolation_level=None)) as file:
        file.execute("PRAGMA locking_mode = EXCLUSIVE")
        file.execute("BEGIN EXCLUSIVE")
        assert store.progress() == 0
    store.close()
