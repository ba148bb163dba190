"""Faults done to a real cluster over three real brokers: nothing is lost, nothing doubled, and all is as the oracle has it.

A reader of committed records looks on meanwhile. `make chaos SEEDS=20` plays scenarios that seeds choose.
"""

import sys

import pytest
from chaos.arena import play
from chaos.verdict import Verdict

from infra.kafka.broker import Cluster

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform != "linux", reason="the supervisor asks Linux which ports listen"),
]

SCENARIOS = {
    "a process killed, others as they commit": ("kill", "crash:flushed", "crash:committed"),
    "killed with an answer under way, and with snapshots under way": (
        "crash:asked",
        "crash:durable",
        "crash:reading",
    ),
    "killed at the end of an epoch, with an open transaction, after a snapshot": (
        "crash:source",
        "crash:open",
        "crash:made",
    ),
    "drained and scaled": ("up", "down", "terminate"),
    "a process that hangs, and one that is stopped for a while": ("hang", "pause"),
    "the supervisor killed, and a process as it takes over": ("kill_all", "kill_twice"),
    "a broker killed": ("broker", "crash:committed"),
}


@pytest.mark.parametrize("seed", range(len(SCENARIOS)), ids=list(SCENARIOS))
def test_scenario(brokers: Cluster, seed: int) -> None:
    """Whatever happens, the topics hold what an undisturbed run gives, each result once."""
    faults = list(SCENARIOS.values())[seed]
    # A place at which writers read back is passed only when something else has failed: it is prepared before that.
    plan = [(0.15 + 0.7 * i / len(faults), fault) for i, fault in enumerate(faults)]
    _holds(play(brokers, seed, plan, processes=2 if "up" in faults else 3))


def test_crashes_in_a_row(brokers: Cluster) -> None:
    """However often it crashes as it commits, it gets on, and waits longer each time."""
    faults = [
        "crash:committed",
        "crash:flushed",
        "crash:durable",
        "crash:made",
        "crash:open",
        "crash:committed",
    ]
    _holds(
        found := play(brokers, 20, [(0.1 + 0.13 * i, fault) for i, fault in enumerate(faults)], seconds=8.0)
    )
    assert found.restarts == len(faults)


def test_an_idle_partition(brokers: Cluster) -> None:
    """A partition that is silent is not waited for; what it brings when it is back amends, also across a crash."""
    plan = [(0.4, "kill"), (0.5, "idle"), (0.7, "crash:committed"), (0.85, "kill")]
    found = play(brokers, 40, plan, silent=2, options=["--set", "event_time.idle_timeout=500ms"], seconds=8.0)
    assert found.good, found
    assert found.amended > 0


def test_all_brokers_away(brokers: Cluster) -> None:
    """Brokers that stand still, and brokers that come back after a while: the flow waits, in bounded memory, and loses nothing."""
    _holds(play(brokers, 30, [(0.3, "stall"), (0.6, "outage")], seconds=4.0))


@pytest.mark.parametrize(("off", "faults"), [("read_back", ["crash:committed"]), ("late", []), ("dedup", [])])
def test_the_scenarios_notice(brokers: Cluster, off: str, faults: list[str]) -> None:
    """Without a protection the verdict is another: the reader, the oracle and the digests do tell."""
    found = play(brokers, 1, [(0.5, fault) for fault in faults], seconds=3.0, count=100, off=[off])
    assert not found.good
    assert found.doubled if off == "read_back" else found.wrong
    assert off == "read_back" or found.digests[0] != found.digests[1]


def _holds(found: Verdict) -> None:
    assert found.good, found
    assert found.records > 500
