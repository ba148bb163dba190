"""What can go wrong, by name: each fault is done to a running arena, and says in words what it did."""

import os
import random
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil
from chaos.crashes import POINTS

if TYPE_CHECKING:
    from chaos.arena import Arena

__all__ = ["FAULTS", "RANDOM", "inject"]

_DIES_S = 10.0
_CLOSES_S = 90.0
_GROWTH = 64 * 2**20


def inject(name: str, arena: "Arena", rng: random.Random) -> str:
    """Do what a name stands for; `crash:POINT` for a place of `chaos.crashes`, else one of FAULTS."""
    kind, _, point = name.partition(":")
    return _crash(arena, point) if kind == "crash" else FAULTS[name](arena, rng)


def _crash(arena: "Arena", point: str) -> str:
    """Let whichever process comes to a place first die there."""
    status = arena.flow.running()
    (arena.flow.points / point).touch()
    end = time.monotonic() + _DIES_S
    while (arena.flow.points / point).exists():
        if arena.feed.over and time.monotonic() > end:
            (arena.flow.points / point).unlink(missing_ok=True)
            return f"nobody killed at {point}: the records were over"
        assert time.monotonic() < end + _DIES_S, f"nobody came to {point}: {arena.flow.said()}"
        time.sleep(0.005)
    _noticed(arena, status)
    return f"a process killed at {point}"


def _noticed(arena: "Arena", before: dict[str, Any]) -> dict[str, Any]:
    """Wait until the supervisor has noticed that a process is gone; return what it says then."""
    return arena.flow.until(lambda now: now["restarts"] > before["restarts"])


def _kill(arena: "Arena", rng: random.Random) -> str:
    status = arena.flow.running()
    time.sleep(rng.uniform(0, 0.1))
    number = rng.randrange(len(status["processes"]))
    os.kill(status["processes"][number], signal.SIGKILL)
    _noticed(arena, status)
    return f"process {number} of {len(status['processes'])} killed"


def _kill_twice(arena: "Arena", rng: random.Random) -> str:
    """Kill one, and another one of those that take over before they have done anything."""
    first = _kill(arena, rng)
    status = arena.flow.until(lambda now: bool(now["processes"]))
    time.sleep(rng.uniform(0, 0.2))
    now = arena.flow.status()
    if now["restarts"] == status["restarts"] and now["processes"]:
        os.kill(rng.choice(now["processes"]), signal.SIGKILL)
        _noticed(arena, status)
    return f"{first}, and another one as it started again"


def _hang(arena: "Arena", rng: random.Random) -> str:
    status = arena.flow.running()
    os.kill(rng.choice(status["processes"]), signal.SIGSTOP)
    begun_s = time.monotonic()
    _noticed(arena, status)
    return f"a process stopped, and taken for dead after {time.monotonic() - begun_s:.1f} s"


def _pause(arena: "Arena", rng: random.Random) -> str:
    victim, seconds = rng.choice(arena.flow.running()["processes"]), rng.uniform(0.2, 1.2)
    os.kill(victim, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(victim, signal.SIGCONT)
    return f"a process stopped for {seconds:.1f} s"


def _kill_all(arena: "Arena", rng: random.Random) -> str:
    arena.flow.running()
    arena.flow.signal(signal.SIGKILL)
    arena.flow.ended()
    arena.flow.start(processes := rng.choice((1, 2, 3)))
    return f"the supervisor killed, and all with it; started again with {processes}"


def _terminate(arena: "Arena", rng: random.Random) -> str:
    arena.flow.running()
    arena.flow.signal(signal.SIGTERM)
    begun_s = time.monotonic()
    assert arena.flow.ended() == 0, arena.flow.said()
    took_s = time.monotonic() - begun_s
    arena.flow.start(processes := rng.choice((1, 2, 3)))
    return f"SIGTERM, drained in {took_s:.1f} s; started again with {processes}"


def _scale(arena: "Arena", rng: random.Random) -> str:
    now = arena.flow.running()["nodes"]
    arena.flow.scale(to := rng.choice([n for n in (1, 2, 3) if n != now]))
    return f"scaled from {now} to {to}"


def _up(arena: "Arena", rng: random.Random) -> str:
    arena.flow.running()
    arena.flow.scale(3)
    return "scaled to 3"


def _down(arena: "Arena", rng: random.Random) -> str:
    arena.flow.running()
    arena.flow.scale(2)
    return "scaled to 2"


def _broker(arena: "Arena", rng: random.Random) -> str:
    arena.flow.running()
    number, seconds = rng.randrange(1, 4), rng.uniform(1, 4)
    arena.brokers.kill(number)
    time.sleep(seconds)
    arena.brokers.start(number)
    return f"broker {number} of 3 killed, back after {seconds:.1f} s"


def _outage(arena: "Arena", rng: random.Random, seconds: float = 20.0) -> str:
    arena.flow.running()
    for number in (1, 2, 3):
        arena.brokers.kill(number)
    time.sleep(seconds)
    arena.brokers.start()
    return f"all brokers killed, back after {seconds:g} s"


def _stall(arena: "Arena", rng: random.Random, seconds: float = 8.0) -> str:
    """Let the brokers stand still: what the flow has of memory must not grow with what it cannot write."""
    processes = [psutil.Process(pid) for pid in arena.flow.running()["processes"]]
    before = [process.memory_info().rss for process in processes]
    try:
        for node in arena.brokers.nodes:
            node.send(signal.SIGSTOP)
        time.sleep(seconds)
        grown = max(process.memory_info().rss - old for process, old in zip(processes, before, strict=True))
    finally:
        for node in arena.brokers.nodes:
            node.send(signal.SIGCONT)
    assert grown < _GROWTH, f"a process grew by {grown:,} bytes"
    return f"all brokers stopped for {seconds:g} s; no process grew by {_GROWTH // 2**20} MiB"


def _idle(arena: "Arena", rng: random.Random) -> str:
    """Wait until windows are closed without the partition that is silent; let it be heard again."""
    assert arena.silent is not None
    sent = arena.parts[arena.silent][: len(arena.parts[arena.silent]) // 4]
    heard_us = max(row.time_us for record in sent for row in record.rows)
    end = time.monotonic() + _CLOSES_S
    while not any(
        window == "second" and start_us > heard_us for window, start_us, *_ in list(arena.watcher.cells)
    ):
        assert time.monotonic() < end, arena.flow.said()
        time.sleep(0.05)
    arena.feed.resume()
    return "a partition idle, until windows had closed without it"


FAULTS: dict[str, Callable[["Arena", random.Random], str]] = {
    "kill": _kill,
    "kill_twice": _kill_twice,
    "hang": _hang,
    "pause": _pause,
    "kill_all": _kill_all,
    "terminate": _terminate,
    "scale": _scale,
    "up": _up,
    "down": _down,
    "broker": _broker,
    "outage": _outage,
    "stall": _stall,
    "idle": _idle,
}
_PLACES = [f"crash:{point}" for point in POINTS if point != "reading"]
RANDOM = (
    "kill",
    "kill",
    "kill_twice",
    "hang",
    "pause",
    "kill_all",
    "terminate",
    "scale",
    "broker",
    "stall",
    *_PLACES,
)
"""What a seed chooses from."""
