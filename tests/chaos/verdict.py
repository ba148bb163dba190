"""What came of a scenario: what the reader saw against the oracle, and the topics against an undisturbed run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.events import FAR_US, Record
from chaos.oracle import Expected, expect
from chaos.watcher import Watcher

from flows.settings.root import Settings
from operators.compare import Results
from service.console import Console
from service.job import Job
from service.verify import read_side, verify

__all__ = ["Verdict", "judge"]


@dataclass
class Verdict:
    """What came of a scenario.

    Parameters
    ----------
    seed, faults
        What was done.
    lost, doubled, wrong
        Results that are missing, that came twice, or that say something else than the oracle.
    amended
        Records that replaced one before: none, where no partition was idle.
    digests
        Of the topics and of an undisturbed run over the same events.
    records
        Committed ones that the reader has seen.
    restarts
        Of the cluster, and starts of supervisors.
    seconds
        How long it took.
    broken
        What else was not as it must be.
    amends
        Whether a partition was idle, so that records may be replaced.
    """

    seed: int
    faults: list[str] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    amended: int = 0
    digests: tuple[str, str] = ("", "")
    records: int = 0
    restarts: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    amends: bool = False

    @property
    def good(self) -> bool:
        """Whether nothing was lost, doubled or wrong."""
        whole = bool(self.records) and self.digests[0] == self.digests[1]
        amended = self.amended and not self.amends
        return whole and not (self.lost or self.doubled or self.wrong or amended or self.broken)


def judge(
    found: Verdict, watcher: Watcher, parts: Mapping[int, Sequence[Record]], settings: Settings
) -> None:
    """Fill in a verdict.

    Parameters
    ----------
    found
        With the faults that were done.
    watcher
        The reader, which has seen all there is.
    parts
        The records of each partition, without those that close all.
    settings
        Of an undisturbed run over the topics, into a folder of its own.
    """
    expected = expect(parts)
    found.lost, found.doubled, found.amended = watcher.missing(expected), watcher.doubled(), watcher.amended()
    found.wrong, found.records = _wrong(watcher, expected), watcher.count
    found.broken += watcher.broken
    account = Job(settings, sink="files", until_end=True, console=Console(quiet=True)).run()
    found.digests = _digests(settings)
    last = {"events_in": len(parts), "windowed": len(parts)}
    wrong = {k: (account[k], n) for k, n in expected.account.items() if account[k] - last.get(k, 0) != n}
    found.broken += [f"the undisturbed run's account is not the oracle's: {wrong}"] if wrong else []


def _wrong(watcher: Watcher, expected: Expected) -> list[str]:
    """Return what was said last and is not what the oracle says."""
    found = []
    for kind in ("cells", "sessions"):
        want, got = getattr(expected, kind), getattr(watcher, kind)
        mine = {key: row for key, row in got.items() if kind == "sessions" or key[1] < FAR_US - 10_000_000}
        found += [
            f"{kind} {key}: {row}, not {want.get(key)}" for key, row in mine.items() if want.get(key) != row
        ]
    for kind in ("late", "dead"):
        found += [f"{kind} {key}" for key in getattr(watcher, kind) - getattr(expected, kind)]
    return found


def _digests(settings: Settings) -> tuple[str, str]:
    live = read_side(f"kafka:{settings.kafka.prefix}", settings)
    undisturbed = read_side(str(settings.sink.directory), settings)
    found = verify(live, Results(undisturbed.cells, live.closed))
    return found["digest_live"], found["digest_replay"]
