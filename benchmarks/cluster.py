"""The flow on two processes against the same flow on one: 64 shards, partials exchanged over a socket."""

import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from bytewax.testing import cluster_main

from benchmarks.job import Job, flow_of
from benchmarks.row import Effort, Row
from service.cluster.worker import await_listeners

__all__ = ["rows"]


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the rate of two processes by that of one, run in turn."""
    # Long enough for it not to count that processes begin and end one by one.
    events = effort.events(240_000_000)
    pairs = [(_rate(1, events), _rate(2, events)) for _ in range(effort.runs)]
    ratios = tuple(two / one for one, two in pairs)
    one, two = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    yield Row(
        "two processes against one, 64 shards, 4 partitions", statistics.median(ratios), "x", 1.6, runs=ratios,
        note=f"{two:.0f} and {one:.0f} M events/s; start-up excluded; two cores needed",
    )  # fmt: skip


def _rate(processes: int, events: int) -> float:
    """Return the rate from the first frame that one of the processes takes to the end of the last."""
    addresses = [f"127.0.0.1:{_free_port()}" for _ in range(processes)] if processes > 1 else []
    command = [sys.executable, "-m", "benchmarks.cluster", str(events), ",".join(addresses)]
    started = [subprocess.Popen([*command, str(k)], stdout=subprocess.PIPE) for k in range(processes)]
    try:
        found = [json.loads(process.communicate()[0]) for process in started]
    finally:
        for process in started:  # one whose neighbour has failed waits for it
            process.kill()
            process.wait()
    if sum(each["events"] for each in found) == 0:
        raise RuntimeError("the flow gave no results: the benchmark is wrong")
    seconds = max(each["end"] for each in found) - min(each["start"] for each in found)
    return events / seconds / 1e6


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _work(events: int, addresses: str, number: int) -> None:
    """Run one process of the flow; print when its first frame came and when it ended."""
    begun: list[float] = []

    def told(_: int) -> None:
        if not begun:
            begun.append(time.time())

    # A million events at a time: what limits two processes is their messages, one a shard for what is at hand.
    flow, counted = flow_of(Job(events, partitions=4, shards=64, poll=16), told=told)
    others = addresses.split(",") if addresses else []
    await_listeners(others[:number])
    cluster_main(flow, others, number)
    print(
        json.dumps(
            {"start": begun[0] if begun else time.time(), "end": time.time(), "events": counted.events}
        )
    )


if __name__ == "__main__":
    _work(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
