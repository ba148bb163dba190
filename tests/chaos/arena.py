"""A scenario from its first record to its verdict: three brokers, a feed, a cluster, a reader of what is committed, faults."""

import random
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.events import FAR_US, PARTITIONS, Record, last_record, records
from chaos.faults import inject
from chaos.feed import Feed
from chaos.flow import Flow
from chaos.oracle import expect
from chaos.watcher import Watcher

from flows.settings import load
from infra.kafka.broker import Cluster
from operators.compare import Results
from service.console import Console
from service.job import Job
from service.topics import DECLARED, Topic, apply, load_topics
from service.verify import read_side, verify

__all__ = ["Arena", "Plan", "Verdict", "play"]

Plan = Sequence[tuple[float, str]]
"""At which share of the records sent which fault is done."""

_COMPLETE_S = 90.0


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

    @property
    def good(self) -> bool:
        """Whether nothing was lost, doubled or wrong."""
        whole = bool(self.records) and self.digests[0] == self.digests[1]
        return whole and not (self.lost or self.doubled or self.wrong or self.amended or self.broken)


class Arena:
    """What a scenario takes place in.

    Parameters
    ----------
    brokers
        Three that run.
    folder
        Of its own.
    parts
        The records of each partition, and the one that closes all.
    seconds
        How long the feed takes.
    off, options
        As `chaos.flow.Flow` has them.
    """

    def __init__(
        self,
        brokers: Cluster,
        folder: Path,
        parts: Mapping[int, Sequence[Record]],
        seconds: float,
        *,
        off: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.brokers, self.folder, self.parts = brokers, folder, parts
        self.prefix = f"c{uuid.uuid4().hex[:8]}."
        events = Topic(
            "aura.events",
            PARTITIONS,
            3,
            {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2"},
        )
        others = [
            Topic(t.name, PARTITIONS, 3, t.config) for t in load_topics(DECLARED) if t.name != events.name
        ]
        apply({"bootstrap_servers": brokers.bootstrap}, [events, *others], prefix=self.prefix)
        self.flow = Flow(folder / "flow", brokers.bootstrap, self.prefix, off=off, options=options)
        self.watcher = Watcher(brokers.bootstrap, self.prefix, PARTITIONS)
        whole = {k: [*part, last_record(k)] for k, part in parts.items()}
        self.feed = Feed(brokers.bootstrap, f"{self.prefix}aura.events", whole, seconds)

    def close(self) -> None:
        """End what is left."""
        self.flow.kill()
        self.watcher.stop()

    def complete(self, wait_s: float = _COMPLETE_S) -> None:
        """Wait until all that must come has come, or nothing more comes."""
        expected, end = expect(self.parts), time.monotonic() + wait_s
        while self.watcher.missing(expected) and time.monotonic() < end:
            assert self.flow.process is not None
            if self.flow.process.poll() is not None or self.watcher.broken:
                return
            time.sleep(0.05)

    def verdict(self, seed: int, faults: list[str], restarts: int) -> Verdict:
        """Hold what the reader has seen against the oracle, and the topics against an undisturbed run."""
        expected, watcher = expect(self.parts), self.watcher
        found = Verdict(
            seed, faults, lost=watcher.missing(expected), doubled=watcher.doubled(), amended=watcher.amended()
        )
        for kind in ("cells", "sessions"):
            want = getattr(expected, kind)
            got = {
                key: row
                for key, row in getattr(watcher, kind).items()
                if kind != "cells" or key[1] < FAR_US - 10_000_000
            }
            found.wrong += [
                f"{kind} {key}: {row}, not {want.get(key)}"
                for key, row in got.items()
                if want.get(key) != row
            ]
        for kind in ("late", "dead"):
            found.wrong += [f"{kind} {key}" for key in getattr(watcher, kind) - getattr(expected, kind)]
        found.records = sum(map(len, watcher.log.values()))
        found.restarts, found.broken = restarts, [*watcher.broken, *self.feed.broken]
        account, found.digests = self._undisturbed()
        wrong = {
            k: (account[k], n)
            for k, n in expected.account.items()
            if account[k] - (k in ("events_in", "windowed")) * PARTITIONS != n
        }
        found.broken += [f"the undisturbed run's account is not the oracle's: {wrong}"] if wrong else []
        return found

    def _undisturbed(self) -> tuple[dict[str, Any], tuple[str, str]]:
        """Run over the same events, one process that nobody disturbs; return its account, and both digests."""
        out = self.folder / "undisturbed"
        given = {
            "kafka.bootstrap": self.brokers.bootstrap,
            "kafka.prefix": self.prefix,
            "sink.directory": str(out),
        }
        settings = load(self.flow.profile, given).settings
        account = Job(settings, sink="files", until_end=True, console=Console(quiet=True)).run()
        live, other = read_side(f"kafka:{self.prefix}", settings), read_side(str(out), settings)
        found = verify(live, Results(other.cells, live.closed))
        return account, (found["digest_live"], found["digest_replay"])


def play(
    brokers: Cluster, seed: int, plan: Plan, *, seconds: float = 6.0, count: int = 240, processes: int = 3,
    off: Sequence[str] = (), options: Sequence[str] = (),
) -> Verdict:  # fmt: skip
    """Play a scenario; return the verdict.

    Parameters
    ----------
    brokers
        Three that run.
    seed
        Of the records and of the faults' chances.
    plan
        The faults.
    seconds, count
        How long the feed takes, and of how many records a partition.
    processes
        To begin with.
    off, options
        Protections switched off, and more of the command line.
    """
    begun_s, rng = time.monotonic(), random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="aura-chaos-"))
    parts = {k: records(seed, k, count) for k in range(PARTITIONS)}
    arena = Arena(brokers, folder, parts, seconds, off=off, options=options)
    try:
        arena.flow.start(processes)
        arena.flow.until(lambda status: status["state"] == "running" or bool(status.get("processes")))
        arena.feed.start()
        done = []
        for share, fault in plan:
            arena.feed.until(share)
            done.append(inject(fault, arena, rng))
        arena.feed.until(1.0)
        arena.complete()
        restarts = arena.flow.status().get("restarts", 0) + arena.flow.starts - 1
        arena.flow.signal(signal.SIGTERM)
        code = arena.flow.ended()
        found = arena.verdict(seed, done, restarts)
        found.broken += [f"it ended with {code}: {arena.flow.said()}"] if code else []
    finally:
        arena.close()
    found.seconds = time.monotonic() - begun_s
    if found.good:
        shutil.rmtree(folder)
    return found
