"""Archives and what is read again of them: row for row what was written, from any position, over any range of time."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from kernels.errors import AuraError, ConfigError
from kernels.grid import Grid
from kernels.lateness import END_US, START_US
from kernels.metric import Metric
from operators import archive as archive_module
from operators.archive import ArchiveWriter
from operators.archive_files import Archive
from operators.archive_reader import Position, count_rows, read_archive
from operators.archive_source import ReplaySource
from operators.batch import Batch, DeadLetter, Late, Origin, Tally
from operators.decoded import Decoded
from operators.ingest import IngestConfig
from operators.pace import Pace
from operators.progress import Progress
from operators.replayed import Range, Replayed

COLUMNS = ("agent_id", "time_us", "x_m", "y_m", "z_m", "seq", "speed_mps")
CONFIG = IngestConfig(
    Grid((0, 0, 0), (10, 10, 10), (10, 10, 10)),
    (Metric("speed_mps", 0.001, 0, 2000),),
    least_lateness_us=5,
    lateness_us=10,
    future_us=100,
    columns=COLUMNS,
)
NOT_BROKEN = {"max_bytes": 10**9, "max_span_us": 10**18}


class Event(NamedTuple):
    """A row of a record, and what is drawn about it."""

    agent_id: int
    time_us: int
    speed_mps: float


class Made(NamedTuple):
    """A record: its rows, or none if it is no event at all; the offsets that are skipped before it."""

    rows: list[Event]
    skipped: int = 0
    broker_us: int = 50


events = st.builds(
    Event,
    st.integers(1, 5),
    st.integers(0, 60) | st.integers(200, 210),
    st.sampled_from([1.0, 2.5, 5000.0, float("nan")]),
)
made_records = st.builds(Made, st.lists(events, max_size=4), st.sampled_from([0, 0, 1]), st.just(50))
records = st.lists(made_records, max_size=12)


def pieces_of(polls: Sequence[Sequence[Made]]) -> list[tuple[list[Decoded], int]]:
    """What a decoder makes of polls of records, and the offset behind each poll."""
    found, offset = [], 0
    for poll in polls:
        pieces = []
        for record in poll:
            offset += record.skipped
            pieces.append(_piece(record, offset))
            offset += 1
        found.append((pieces, offset))
    return found


def _piece(record: Made, offset: int) -> Decoded:
    size = len(record.rows)
    columns = {
        "agent_id": np.array([e.agent_id for e in record.rows], np.uint64),
        "time_us": np.array([e.time_us for e in record.rows], np.int64),
        **{axis: np.full(size, 5, np.float32) for axis in ("x_m", "y_m", "z_m")},
        "seq": np.arange(size, dtype=np.uint32),
        "speed_mps": np.array([e.speed_mps for e in record.rows], np.float32),
    }
    run = np.zeros(min(size, 1), np.int64)
    origin = Origin("events", 0, run, run + offset, run)
    letter = DeadLetter("events", 0, offset, -1, b"?" * offset, "text/x", "decode", "malformed", "no event")
    names = {e.agent_id: f"agent {e.agent_id}" for e in record.rows if e.agent_id < 3}
    return Decoded(columns, origin, np.full(size, record.broker_us), names, [] if size else [letter])


def write(folder: Path, polls: Sequence[Sequence[Made]], **limits: Any) -> Archive:
    """Archive polls of records."""
    archive = Archive.make(folder, "events", 1, COLUMNS)
    writer = ArchiveWriter(archive, 0, start=0, **(NOT_BROKEN | limits))
    for pieces, end in pieces_of(polls):
        writer.append(pieces, end)
    writer.close()
    return archive


def rows_of(pieces: Sequence[Decoded]) -> list[tuple[Any, ...]]:
    """Every row with its place, the broker's time and the text of its agent; NaN as text, so that it is equal."""
    found = []
    for piece in pieces:
        offset, row = piece.origin.locate(np.arange(len(piece.broker_us)))
        for i, place in enumerate(zip(offset.tolist(), row.tolist(), piece.broker_us.tolist(), strict=True)):
            values = [str(piece.columns[name][i]) for name in COLUMNS]
            found.append((*place, *values, piece.names.get(int(piece.columns["agent_id"][i]))))
    return found


def letters_of(pieces: Sequence[Decoded]) -> list[DeadLetter]:
    """Every dead letter."""
    return [letter for piece in pieces for letter in piece.dead]


def replayed(archive: Archive, span: Range, state: bytes | None = None, **more: Any) -> Replayed:
    """The partition, read again."""

    def read(position: Position | None) -> Any:
        return read_archive(archive, 0, COLUMNS, position=position, from_us=span.from_us - CONFIG.lateness_us)

    options: dict[str, Any] = {"pace": None, "batch_rows": 3} | more
    return Replayed("events", 0, read, CONFIG, span=span, state=state, **options)


def outcome(batches: Sequence[Batch]) -> list[Any]:
    """What batches say of each event, in no order of batches: windowed rows, late rows, dead letters, the account."""
    found, tally = [], Tally()
    for batch in batches:
        found += [
            ("row", *row) for row in zip(*(batch.columns[name].tolist() for name in COLUMNS[:2]), strict=True)
        ]
        for output in batch.account():
            if isinstance(output, Tally):
                tally.add(output)
            elif isinstance(output, Late):
                found += [("late", *place) for place in zip(output.offset, output.row, strict=True)]
            elif isinstance(output, DeadLetter):
                found.append(("dead", output.offset, output.row, output.reason, output.value))
    return [*found, tally]


def drain(part: Replayed) -> list[Batch]:
    """All batches of a partition."""
    found = []
    while not part.ended:
        found += [batch for _, batch in part.advance()]
    return found


@settings(max_examples=60)
@given(st.lists(records, max_size=4), st.sampled_from([0, 20, 10**9]), st.sampled_from([1, 3, 65_536]))
def test_an_archive_holds_each_row_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, polls: list[list[Made]], max_span_us: int, group: int
) -> None:
    """Rows, places, broker times, texts and dead letters come back as they were, whatever the files and row groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive_module, "GROUP_ROWS", group)
        archive = write(tmp_path_factory.mktemp("a"), polls, max_span_us=max_span_us)
    given_ = [piece for pieces, _ in pieces_of(polls) for piece in pieces]
    found = list(read_archive(archive, 0, COLUMNS))
    assert rows_of(found) == rows_of(given_)
    assert letters_of(found) == letters_of(given_)
    assert count_rows(archive) == len(rows_of(given_))


@settings(max_examples=60)
@given(
    records,
    st.integers(0, 40),
    st.integers(0, 12),
    st.sampled_from([(START_US, END_US), (20, 50), (30, 205)]),
)
def test_a_restart_anywhere_repeats_and_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, made: list[Made], steps: int, second: int, span: tuple[int, int]
) -> None:
    """A replay that goes on from its snapshot, twice, gives what one without a restart gives."""
    archive = write(tmp_path_factory.mktemp("a"), [made[:5], made[5:]], max_span_us=0)
    whole = outcome(drain(replayed(archive, Range(*span))))
    part, found = replayed(archive, Range(*span)), []
    for count in (steps, second):
        for _ in range(count):
            found += [] if part.ended else [batch for _, batch in part.advance()]
        part = replayed(archive, Range(*span), part.snapshot())
    assert outcome(found + drain(part)) == whole


def believed(made: Sequence[Made]) -> list[tuple[int, Any, int]]:
    """The records' rows and dead letters with the partition's clock at each, in plain Python."""
    found, clock, offset = [], START_US, 0
    for record in made:
        offset += record.skipped
        for row, event in enumerate(record.rows):
            good = event.time_us <= record.broker_us + 100 and not event.speed_mps > 2000
            clock = max(clock, event.time_us) if good else clock
            found.append((clock, event, row))
        if not record.rows:
            found.append((clock, None, offset))
        offset += 1
    return found


@settings(max_examples=100)
@given(records, st.integers(0, 70), st.integers(0, 80), st.sampled_from([0, 20, 10**9]))
def test_a_range_is_where_the_clock_is_in_it(
    tmp_path_factory: pytest.TempPathFactory, made: list[Made], from_us: int, length_us: int, max_span_us: int
) -> None:
    """Taken are the rows and dead letters at which the clock of the believed events is in the range, late or not."""
    span = Range(from_us, from_us + length_us)
    archive = write(tmp_path_factory.mktemp("a"), [[record] for record in made], max_span_us=max_span_us)
    taken = [event for clock, event, _ in believed(made) if span.from_us <= clock < span.to_us]
    beyond = next((i for i, (clock, *_) in enumerate(believed(made)) if clock >= span.to_us), None)
    assert beyond is None or len(taken) <= beyond
    tally = outcome(drain(replayed(archive, span)))[-1]
    assert tally.events_in == len(taken)
    assert tally.balanced


def test_what_is_in_a_range_is_late_as_in_the_whole(tmp_path: Path) -> None:
    """A late event is late in a replay that begins before the window that it belongs to, for the clock is the same."""
    times = [0, 30, 45, 20, 41, 60, 35, 58]
    archive = write(tmp_path, [[Made([Event(1, t, 1.0)])] for t in times])
    whole, part = (outcome(drain(replayed(archive, span))) for span in (Range(), Range(30, 60)))
    late = [each for each in whole if each != whole[-1] and each[0] == "late"]
    assert late == [("late", 3, 0), ("late", 6, 0)]
    assert [each for each in part[:-1] if each[0] == "late"] == late[:1]
    assert part[-1] == Tally(events_in=4, windowed=3, late=1)


def test_row_groups_have_64k_rows_and_files_end_by_size_and_by_time(tmp_path: Path) -> None:
    """Only the last row group of a file is smaller than 65,536 rows; a file ends behind the poll that fills it."""
    polls = [[Made([Event(1, 1000 * number, 1.0)] * 30_000)] for number in range(6)]
    one = write(tmp_path / "one", polls)
    metadata = pq.read_metadata(one.spans(0)[0].events)
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert groups == [65_536, 65_536, 180_000 - 2 * 65_536]
    by_time = write(tmp_path / "time", polls, max_span_us=3000)
    assert [(span.first, span.next) for span in by_time.spans(0)] == [(0, 4), (4, 6)]
    by_size = write(tmp_path / "size", polls, max_bytes=1000)
    assert len(by_size.spans(0)) == 2, "a file grows when a row group is written, and that takes three polls"
    assert {rows_of([*read_archive(a, 0, COLUMNS)])[-1] for a in (one, by_time, by_size)} == {
        rows_of([_piece(polls[-1][0], 5)])[-1]
    }


def test_one_wrong_clock_does_not_cut_a_file(tmp_path: Path) -> None:
    """The time that a file spans is between the middles of its polls."""
    good, wrong = Event(1, 5, 1.0), Event(1, 10**15, 1.0)
    archive = write(tmp_path, [[Made([good, wrong, good])], [Made([good])]], max_span_us=1000)
    assert len(archive.spans(0)) == 1


def test_what_an_archiver_was_killed_over_is_removed(tmp_path: Path) -> None:
    """Files without a name, and dead letters without their events, are gone before an archiver goes on."""
    archive = write(tmp_path, [[Made([Event(1, 1, 1.0)]), Made([])]])
    kept = archive.spans(0)[0]
    for name in (".events.parquet", ".dead.parquet", f"dead-{2:020d}-{9:020d}.parquet"):
        (archive.part(0) / name).write_bytes(b"half")
    writer = ArchiveWriter(archive, 0, start=7, **NOT_BROKEN)
    assert writer.next == 2
    assert sorted(archive.part(0).iterdir()) == sorted([kept.events, kept.dead])


def test_an_archive_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    """A missing file, one that was cut, dead letters that are not there: each is an error that names it."""
    polls = [[Made([Event(1, t, 1.0)]), Made([])] for t in range(3)]
    archive = write(tmp_path, polls, max_span_us=0)
    spans = archive.spans(0)
    assert [(before.next, after.first) for before, after in pairwise(spans)] == [(2, 2), (4, 4)]
    whole = spans[2].events.read_bytes()
    spans[2].events.write_bytes(whole[:-10])
    with pytest.raises(AuraError, match=r"events-0+4-0+6\.parquet cannot be read"):
        list(read_archive(archive, 0, COLUMNS))
    spans[2].events.write_bytes(whole)
    spans[2].dead.unlink()
    with pytest.raises(AuraError, match=r"dead-0+4-0+6\.parquet cannot be read"):
        list(read_archive(archive, 0, COLUMNS))
    spans[1].events.unlink()
    with pytest.raises(AuraError, match="partition 0 has no file of the offsets 2 to 3"):
        archive.spans(0)
    archive.span(0, 1, 9).events.write_bytes(b"")
    with pytest.raises(AuraError, match="overlap"):
        archive.spans(0)


def test_an_archive_is_gone_on_with_only_as_it_was_begun(tmp_path: Path) -> None:
    """Another topic, other columns, a column of the archive's own name, a second archiver and no archive are refused."""
    archive = Archive.make(tmp_path, "events", 2, COLUMNS)
    assert Archive.make(tmp_path, "events", 3, COLUMNS) == Archive.open(tmp_path)
    assert Archive.open(tmp_path).partitions == 3, "partitions may have been added"
    for topic, columns in (("other", COLUMNS), ("events", COLUMNS[:-1])):
        with pytest.raises(ConfigError, match="is an archive of events with the columns"):
            Archive.make(tmp_path, topic, 2, columns)
    with pytest.raises(ConfigError, match="the columns offset cannot be archived"):
        Archive.make(tmp_path / "new", "events", 2, [*COLUMNS, "offset"])
    with pytest.raises(ConfigError, match="holds no archive"):
        Archive.open(tmp_path / "nothing")
    with archive.locked(), pytest.raises(AuraError, match="another archiver"), archive.locked():
        pass


def test_a_replay_keeps_its_pace(tmp_path: Path) -> None:
    """At speed 2 an event of 30 us after the first is due after 15 us; an event with a wrong clock holds up nobody."""
    polls = [[Made([Event(1, t, 1.0) for t in (10, 10, 10, 10, 10, 40, 9000, 41, 70)])]]
    now_s = [5.0]
    pace = Pace(2, now=lambda: now_s[0])
    part = replayed(write(tmp_path, polls), Range(), pace=pace, batch_rows=100)

    def due() -> list[int]:
        return [t for run, _ in part.advance() for t in run.columns["time_us"].tolist()]

    assert due() == [10] * 5
    assert due() == []
    assert part.wait_s == pytest.approx(15e-6, rel=0.01)
    now_s[0] += 15.6e-6
    assert due() == [40, 9000, 41]
    now_s[0] += 20e-6
    assert due() == [70]
    assert due() == []
    assert part.ended


def test_the_source_ends_its_partitions(tmp_path: Path) -> None:
    """Each partition ends with a watermark that closes everything, then stops; after a restart behind it, it stops at once."""
    archive = write(tmp_path, [[Made([Event(1, 1, 1.0)]), Made([])]])
    progress = Progress()

    def read(partition: int, position: Position | None) -> Any:
        return read_archive(archive, partition, COLUMNS, position=position)

    source = ReplaySource(
        "events", 1, read, CONFIG, span=Range(), pace=None, batch_rows=100, progress=progress
    )
    part = source.build_part("source", source.list_parts()[0], None)
    batches = [*part.next_batch(), *part.next_batch(), *part.next_batch()]
    with pytest.raises(StopIteration):
        part.next_batch()
    assert batches[-1].watermark_us == END_US
    assert progress.done == 2
    assert outcome(batches[:-1])[-1] == Tally(events_in=2, windowed=1, dead_letters=1)
    with pytest.raises(StopIteration):
        source.build_part("source", "0", part.snapshot()).next_batch()
