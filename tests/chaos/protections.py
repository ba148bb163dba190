"""Each protection of the exactness, how tests switch it off, and which tests notice: by replacing functions in a process.

`notice.py` does so in the process of those tests, `launch.py` in the processes of a cluster. AURA has no switch for it.
"""

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from kernels.lateness import END_US
from operators import file_sink, ingest, kafka_sink, kafka_source, state, window
from operators.committed import Committed
from service.cluster import team
from service.recovery import parts, store

__all__ = ["PROTECTIONS", "Protection", "switch_off"]


Set = Callable[[Any, str, Any], None]
"""`setattr`, or what can undo it."""


class Protection(NamedTuple):
    """What it is, how it is switched off, and the tests that must fail then."""

    what: str
    off: Callable[[Set], None]
    tests: tuple[str, ...]


def switch_off(name: str, put: Set = setattr) -> None:
    """Switch one off in this process."""
    PROTECTIONS[name].off(put)


def _replace(owner: Any, name: str, value: Any) -> Callable[[Set], None]:
    return lambda put: put(owner, name, value)


def _unfenced(put: Set) -> None:
    """Let each writer have an id of its own: none fences another."""
    connected = kafka_sink.connected

    def unique(client: Any, options: Any, more: Any) -> Any:
        return connected(client, options, more | {"transactional_id": uuid.uuid4().hex})

    put(kafka_sink, "connected", unique)


def _commit_at_once(put: Set) -> None:
    """Commit what was written without waiting for the end of the epoch."""
    write = kafka_sink._Partition.write_batch

    def written(self: Any, values: Any) -> None:
        write(self, values)
        self._commit()

    put(kafka_sink._Partition, "write_batch", written)


def _never_late(put: Set) -> None:
    """Take every event for one that came in time."""
    stamp = ingest.stamp
    put(ingest, "stamp", lambda *given, **named: stamp(*given, **named | {"lateness_us": END_US}))


def _never_twice(put: Set) -> None:
    """Take every event for a new one."""
    find = ingest.Seen.repeated
    put(ingest.Seen, "repeated", lambda *given, **named: find(*given, **named) & False)


def _forgetful(put: Set) -> None:
    """Let a source forget its clock and what it has seen when it starts again."""
    made = kafka_source.Ingest
    put(kafka_source, "Ingest", lambda config, saved=None: made(config))


def _one_further(put: Set) -> None:
    """Let a source go on behind the record after the last one that it delivered."""
    start = kafka_source._Partition._start
    further = lambda self, position: start(self, position) + (position is not None)  # noqa: E731
    put(kafka_source._Partition, "_start", further)


def _uncommitted(put: Set) -> None:
    """Read what was aborted too."""
    opened = kafka_source.open_consumer
    uncommitted = {"isolation_level": "read_uncommitted"}
    put(kafka_source, "open_consumer", lambda options, **more: opened(options, **more | uncommitted))


def _any_offset(put: Set) -> None:
    """Go on at the first offset there is, where the right one is gone."""
    ask = kafka_source.ask

    def widened(offsets: Any, parts: Any) -> Any:
        found = ask(offsets, parts)
        return dict.fromkeys(found, 0) if offsets.__name__ == "beginning_offsets" else found

    put(kafka_source, "ask", widened)


class _Whatever:
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def _any_version(put: Set) -> None:
    """Read the state of any step and version."""
    unpack = state.msgpack.unpackb

    def unpacked(*given: Any, **named: Any) -> Any:
        found = unpack(*given, **named)
        return [_Whatever(), _Whatever(), found[-1]] if isinstance(found, list) else found

    put(state.msgpack, "unpackb", unpacked)


_SINK, _CRASHES = (f"tests/operators/test_kafka_sink{part}.py::test_" for part in ("", "_crashes"))
_SOURCE = "tests/operators/test_kafka_source.py::test_"
_EXACT = "tests/operators/test_exactness.py::test_"
_STORE = "tests/service/test_recovery.py::test_"
_WRITER, _ANY = kafka_sink._Partition, lambda *_, **__: None

PROTECTIONS = {
    "read_back": Protection(
        "a writer that starts reads back what its run has committed",
        _replace(_WRITER, "_read_back", _ANY),
        (_CRASHES + "what_was_committed_before_a_crash_is_not_written_twice",),
    ),
    "drop": Protection(
        "what stands in the log is not written again",
        _replace(Committed, "admit", lambda self, key, revision, content: revision),
        (_CRASHES + "what_was_committed_before_a_crash_is_not_written_twice",),
    ),
    "remember": Protection(
        "what was found in the log and not met again outlives a second crash",
        _replace(Committed, "state", lambda self: []),
        (_CRASHES + "what_was_committed_before_a_crash_is_not_written_twice",),
    ),
    "fence": Protection(
        "a writer that starts stops the one before it",
        _unfenced,
        (_CRASHES + "a_zombie_that_was_forgotten_writes_nothing",),
    ),
    "fence_all": Protection(
        "a start stops all writers before it, also those of partitions without results",
        _replace(kafka_sink.KafkaSink, "fence", _ANY),
        (_CRASHES + "fencing_stops_all_writers_at_once",),
    ),
    "flush": Protection(
        "a commit waits for each record, and is not made without one that failed",
        _replace(_WRITER, "_settle", _ANY),
        (_SINK + "a_record_that_got_lost_is_not_committed_without",),
    ),
    "epoch": Protection(
        "an epoch is committed as a whole",
        _commit_at_once,
        (_SINK + "an_epoch_is_seen_as_a_whole_once_it_is_committed",),
    ),
    "late": Protection(
        "an event that is too late is in no window", _never_late, (_EXACT + "equals_the_reference",)
    ),
    "dedup": Protection(
        "a record that stands there twice counts once", _never_twice, (_EXACT + "equals_the_reference",)
    ),
    "least": Protection(
        "a window closes at the least watermark of all partitions",
        lambda put: put(window, "min", max),
        (_EXACT + "equals_the_reference",),
    ),
    "amend": Protection(
        "what an idle partition brings amends closed windows",
        _replace(window.ShardWindows, "_amend", lambda *_: []),
        (_EXACT + "idle_partitions_amend",),
    ),
    "clock": Protection(
        "a source that starts again has its clock, and knows what it has seen",
        _forgetful,
        (_SOURCE + "a_source_goes_on_with_its_clock",),
    ),
    "position": Protection(
        "a source goes on behind the last record that it delivered",
        _one_further,
        (_SOURCE + "the_position_is_that_of_what_was_delivered",),
    ),
    "isolation": Protection(
        "what a producer aborted is not read", _uncommitted, (_SOURCE + "what_was_aborted_is_not_read",)
    ),
    "retention": Protection(
        "an offset that is gone stops the flow",
        _any_offset,
        (_SOURCE + "an_offset_that_retention_has_passed_stops_the_flow",),
    ),
    "version": Protection(
        "state of another version is refused",
        _any_version,
        ("tests/operators/test_state.py::test_other_state_is_refused",),
    ),
    "parts": Protection(
        "part files past the snapshot are dropped",
        _replace(file_sink._Partition, "_drop_parts", _ANY),
        (_STORE + "parts_past_the_snapshot",),
    ),
    "roll_back": Protection(
        "snapshots of an epoch that was cut short are dropped",
        _replace(store, "roll_back", _ANY),
        (_STORE + "rolled_back",),
    ),
    "shape": Protection(
        "a store of another configuration is refused",
        _replace(store, "compare", _ANY),
        (_STORE + "other_configuration",),
    ),
    "age": Protection(
        "partitions of a store that are of different times are refused",
        _replace(
            store,
            "check_parts",
            lambda folder, count, stamp, *, spread: parts.progress_of(
                [parts.read_part(path) for path in sorted(folder.glob("*.sqlite3"))]
            ),
        ),
        (_STORE + "mixed_age",),
    ),
    "beats": Protection(
        "a process that hangs is taken for dead",
        _replace(team, "check_beats", _ANY),
        ("tests/service/test_team.py::test_a_process_that_hangs_is_a_failure",),
    ),
}
"""By name."""
