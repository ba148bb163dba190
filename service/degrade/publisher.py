"""Tells the brokers: decisions into aura.control, each in its order, and what the flow's health is into aura.health.

A broker that does not answer must not hold anybody up, so a breaker stands before it: after five failures in a row nothing is
tried for 30 s. Decisions that could not be told wait; the log has them in any case. A decision may be told twice after a
restart: the last one about a border counts, and they say the same.
"""

import json
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pybreaker

from kernels.errors import AuraError
from operators.decisions import Decision, Swap, encode, kind_of
from service.sender import Sender

__all__ = ["CONTROL", "HEALTH", "Publisher"]

CONTROL, HEALTH = "aura.control", "aura.health"
_FAILURES, _PAUSE_S = 5, 30
_ANSWER_MS = 2_000
# A producer's own limits are a minute and two: a worker that is to end would wait so long for its last word.
_LIMITS = {
    "bootstrap_timeout_ms": _ANSWER_MS, "max_block_ms": _ANSWER_MS, "request_timeout_ms": _ANSWER_MS,
    "delivery_timeout_ms": 2 * _ANSWER_MS,
}  # fmt: skip
_JSON = {"content-type": "application/json"}


class Publisher:
    """Of one process.

    Parameters
    ----------
    options
        Of the connection.
    prefix
        Before the names of the topics.
    who
        The process, among those of the run: each has a word of its own about its health.
    """

    def __init__(self, options: Mapping[str, Any], prefix: str, who: str = "0") -> None:
        self._options, self._prefix = {**options, **_LIMITS}, prefix
        self._key = f"flow/{who}".encode()
        self._waiting: deque[Decision | Swap] = deque()
        self._breaker = pybreaker.CircuitBreaker(fail_max=_FAILURES, reset_timeout=_PAUSE_S)
        self.failure = ""

    def tell(self, decision: Decision | Swap) -> None:
        """Take in a decision, to be told with the next `flush`."""
        self._waiting.append(decision)

    def flush(self, health: Callable[[], Mapping[str, Any]]) -> bool:
        """Tell what waits, and the health, which is asked for once somebody listens; return whether a broker took it."""
        try:
            self._breaker.call(self._send, health)
        except (AuraError, pybreaker.CircuitBreakerError) as error:
            self.failure = self.failure or str(error)
            return False
        self.failure = ""
        return True

    def _send(self, health: Callable[[], Mapping[str, Any]]) -> None:
        self._look()
        report = json.dumps(health()).encode()
        told = list(self._waiting)
        with Sender(self._options) as sender:
            for decision in told:
                sender.send(self._prefix + CONTROL, 0, (kind_of(decision).encode(), encode(decision)), _JSON)
            sender.send(self._prefix + HEALTH, 0, (self._key, report), _JSON)
        for _ in told:
            self._waiting.popleft()

    def _look(self) -> None:
        """Raise unless something listens: a producer that finds nobody is never let go of, with its sockets."""
        for server in self._options["bootstrap_servers"]:
            host, _, port = server.rpartition(":")
            with (
                suppress(OSError),
                socket.create_connection((host.strip("[]"), int(port)), _ANSWER_MS / 1000),
            ):
                return
        raise AuraError(f"nobody listens at {','.join(self._options['bootstrap_servers'])}")
