from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from operators.committed import Committed


@dataclass
class Log:
    """A partition of an output topic, its writer, and the writer's last durable snapshot."""

    records: list[tuple[str, int, bytes]] = field(default_factory=list)
    durable: tuple[int, int, list] = (0, 0, [])

    def live(self, results: Sequence[tuple[str, int, bytes]], commits: Sequence[int], keep: int) -> None:
        """Resume, put results out, commit after each number of `commits`, crash with `keep` snapshots durable."""
        done, offset, state = self.durable
        committed = Committed(state)
        for record in self.records[offset:]:
            committed.note(*record)
        snapshots = []
        for count in commits:
            for key, revision, content in results[done : done + count]:
                number = committed.admit(key, revision, content)
                if number is not None:
                    self.records.append((key, number, content))
            done = min(done + count, len(results))
            snapshots.append((done, len(self.records), committed.state()))
        if snapshots and keep:
            self.durable = snapshots[min(keep, len(snapshots)) - 1]


_contents = st.binary(min_size=1, max_size=1)
_life = st.tuples(st.lists(st.integers(1, 4), max_size=5), st.integers(0, 5))


def _numbered(results: Sequence[tuple[str, bytes]]) -> list[tuple[str, int, bytes]]:
    """Give each id's results the revisions 0, 1, ..."""
    seen: dict[str, int] = {}
    found = []
    for key, content in results:
        seen[key] = seen.get(key, -1) + 1
        found.append((key, seen[key], content))
    return found


@given(
    results=st.lists(st.tuples(st.sampled_from("abc"), _contents), max_size=12),
    lives=st.lists(_life, max_size=5),
)
def test_a_run_that_repeats_itself_is_in_the_log_once(results, lives) -> None:
    """After any crashes, snapshots lost or not, the log is that of an undisturbed run."""
    log, numbered = Log(), _numbered(results)
    for commits, keep in lives:
        log.live(numbered, commits, keep)
    log.live(numbered, [len(numbered)], 1)
    assert log.records == numbered


_amended = st.sets(st.integers(0, 6), max_size=4).map(sorted)  # how many events each revision was made from


@given(lives=st.lists(st.tuples(_amended, st.integers(1, 4)), max_size=4), last=_amended)
def test_the_last_revision_in_the_log_is_the_whole_result(lives, last) -> None:
    """Lives that see an idle partition's events sooner or later differ on the way; the log ends with the whole."""
    log, whole = Log(), 7
    for counts, commit in lives:
        log.live(_numbered([("w", bytes([n])) for n in counts]), [commit], 0)
    final = _numbered([("w", bytes([n])) for n in (*last, whole)])
    log.live(final, [len(final)], 1)
    assert log.records[-1][2] == bytes([whole])
    revisions = [revision for _, revision, _ in log.records]
    assert revisions == sorted(set(revisions))


def test_a_result_that_differs_goes_out_as_the_next_revision() -> None:
    """What differs from the log is numbered on from the log's last revision, and so is all that follows."""
    committed = Committed()
    committed.note("w", 0, b"partial")
    committed.note("w", 1, b"amended")
    assert committed.admit("w", 0, b"whole") == 2
    assert committed.admit("w", 1, b"more") == 3
    assert Committed(committed.state()).admit("w", 2, b"most") == 4


def test_what_was_met_again_is_forgotten() -> None:
    """Ids that the run has come to again take no memory and no room in the snapshot."""
    committed = Committed()
    for n in range(100):
        committed.note(f"w{n}", 0, b"x")
    assert len(committed) == 100
    assert all(committed.admit(f"w{n}", 0, b"x") is None for n in range(100))
    assert committed.state() == []
