"""A scenario from its first record to its verdict: three brokers, a feed, a cluster, a reader of what is committed, faults."""

import random
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chaos.events import PARTITIONS, Record, last_record, records
from chaos.faults import inject
from chaos.feed import Feed
from chaos.flow import Flow
from chaos.oracle import expect
from chaos.verdict import Verdict, judge
from chaos.watcher import Watcher

from flows.settings import load
from infra.kafka.broker import Cluster
from service.declared_topics import DECLARED, Topic, load_topics
from service.topics import apply

__all__ = ["Arena", "Plan", "play"]

Plan = Sequence[tuple[float, str]]
"""At which share of the records sent which fault is done."""

_COMPLETE_S = 90.0
_QUIET_S = 10.0
_EVENTS = {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2"}


class Arena:
    """What a scenario takes place in; closed by `with`.

    Parameters
    ----------
    brokers
        Three that run.
    parts
        The records of each partition; one that closes all follows them.
    seconds, silent
        As `chaos.feed.Feed` has them.
    off, options
        As `chaos.flow.Flow` has them.
    """

    def __init__(
        self,
        brokers: Cluster,
        parts: Mapping[int, Sequence[Record]],
        seconds: float,
        *,
        silent: int | None = None,
        off: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.brokers, self.parts, self.silent = brokers, parts, silent
        self.folder, self.prefix = Path(tempfile.mkdtemp(prefix="aura-chaos-")), f"c{uuid.uuid4().hex[:8]}."
        topics = [
            Topic(t.name, PARTITIONS, 3, t.config) for t in load_topics(DECLARED) if t.name != "aura.events"
        ]
        topics.append(Topic("aura.events", PARTITIONS, 3, _EVENTS))
        apply({"bootstrap_servers": brokers.bootstrap}, topics, prefix=self.prefix)
        self.flow = Flow(self.folder / "flow", brokers.bootstrap, self.prefix, off=off, options=options)
        self.watcher = Watcher(brokers.bootstrap, self.prefix, PARTITIONS)
        whole = {k: [*part, last_record(k)] for k, part in parts.items()}
        self.feed = Feed(brokers.bootstrap, f"{self.prefix}aura.events", whole, seconds, silent=silent)

    def __enter__(self) -> "Arena":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End what is left; what did not hold stays to be looked at."""
        self.flow.kill()
        self.feed.stop()
        self.watcher.stop()
        if kind is None:
            shutil.rmtree(self.folder)

    def complete(self, alive: Callable[[], bool], quiet_s: float = _COMPLETE_S) -> None:
        """Wait until all that must come has come, or nothing more comes: nothing at all for `quiet_s`."""
        self.feed.until(1.0)
        expected, end_s = expect(self.parts), time.monotonic() + _COMPLETE_S
        seen, quiet_end_s = 0, end_s
        while self.watcher.missing(expected) and alive() and not self.watcher.broken:
            if (now := self.watcher.count) != seen:
                seen, quiet_end_s = now, time.monotonic() + quiet_s
            if time.monotonic() > min(end_s, quiet_end_s):
                return
            time.sleep(0.05)

    def verdict(self, seed: int, faults: list[str], *, amends: bool = False) -> Verdict:
        """Hold what the reader has seen against the oracle, and the topics against an undisturbed run."""
        given = {"kafka.bootstrap": self.brokers.bootstrap, "kafka.prefix": self.prefix}
        given["sink.directory"] = str(self.folder / "undisturbed")
        found = Verdict(seed, faults, amends=amends, broken=[*self.feed.broken])
        judge(found, self.watcher, self.parts, load(self.flow.profile, given).settings)
        return found


def play(
    brokers: Cluster, seed: int, plan: Plan, *, seconds: float = 6.0, count: int = 240, processes: int = 3,
    silent: int | None = None, off: Sequence[str] = (), options: Sequence[str] = (),
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
    silent, off, options
        As `Arena` has them.
    """
    begun_s, rng, done = time.monotonic(), random.Random(seed), list[str]()
    parts = {k: records(seed, k, count) for k in range(PARTITIONS)}
    with Arena(brokers, parts, seconds, silent=silent, off=off, options=options) as arena:
        arena.flow.start(processes)
        arena.flow.until(lambda status: bool(status.get("processes")))
        arena.feed.start()
        for share, fault in plan:
            arena.feed.until(share)
            done.append(inject(fault, arena, rng))
        # Without a protection some of it may never come.
        arena.complete(arena.flow.alive, quiet_s=_QUIET_S if off else _COMPLETE_S)
        restarts = arena.flow.status().get("restarts", 0) + arena.flow.starts - 1
        arena.flow.signal(signal.SIGTERM)
        code = arena.flow.ended()
        found = arena.verdict(seed, done, amends=silent is not None)
        found.broken += [f"it ended with {code}: {arena.flow.said()}"] if code else []
    found.restarts, found.seconds = restarts, time.monotonic() - begun_s
    return found
