"""Sends records to topics: each once, in the order of its partition, a bounded number of bytes ahead of the broker."""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from kafka.errors import AuthorizationError, KafkaError

from kernels.errors import AuraError
from kernels.schema import MAX_RECORD_BYTES
from operators.kafka_reader import connected, failed
from operators.kafka_writer import Writer

__all__ = ["Encoded", "Sender", "Sent"]

_UNSENT_BYTES = 64 * 1024 * 1024  # kafka-python's buffer has no end
_ANSWER_S = 30

Encoded = tuple[bytes | None, bytes]
"""Key and value."""


@dataclass(slots=True)
class Sent:
    """What the broker has been given."""

    records: int = 0
    bytes: int = 0


class Sender:
    """Sends records, each once and in the order of its partition, a bounded number of bytes ahead of the broker.

    Parameters
    ----------
    options
        Of the connection.
    transactional_id
        All of them or none, and nobody else under this id; None: as they come.
    """

    def __init__(self, options: Mapping[str, Any], *, transactional_id: str | None = None) -> None:
        ours: dict[str, Any] = {
            "max_request_size": MAX_RECORD_BYTES + 64 * 1024,
            "batch_size": 256 * 1024,  # of rows: a batch of 16 KiB, the default, is 150 of them
            "linger_ms": 5,
            "retry_backoff_ms": 10,
        }
        self._transactional = transactional_id is not None
        if self._transactional:
            # From (2, 5) on a fenced writer asks for a new epoch, and the broker aborts its successor's transaction.
            ours |= {"transactional_id": transactional_id, "api_version": (2, 4)}
        self._producer = connected(Writer, options, ours)
        self._unsent: deque[tuple[Any, int]] = deque()
        self._unsent_bytes, self.sent = 0, Sent()

    def __enter__(self) -> "Sender":
        if self._transactional:
            try:
                self._producer.init_transactions()
                self._producer.begin_transaction()
            except KafkaError as failure:
                raise self._failed(failure) from failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._settle(0)
                if self._transactional:
                    self._producer.commit_transaction()
            elif self._transactional:
                with suppress(KafkaError):
                    self._producer.abort_transaction()
        except KafkaError as failure:
            raise self._failed(failure) from failure
        finally:
            self._producer.close(timeout=1)

    def send(self, topic: str, partition: int, record: Encoded, headers: Mapping[str, str]) -> None:
        """Send a record; wait while too much is under way.

        Raises
        ------
        AuraError
            The broker does not take it, or one before it.
        """
        key, value = record
        try:
            pairs = [(name, text.encode()) for name, text in headers.items()]
            future = self._producer.send(topic, value, key, headers=pairs, partition=partition)
            self._unsent.append((future, len(value)))
            self._unsent_bytes += len(value)
            self._settle(_UNSENT_BYTES)
        except KafkaError as failure:
            raise self._failed(failure) from failure
        self.sent.records += 1
        self.sent.bytes += len(value)

    def _settle(self, most: int) -> None:
        """Wait until at most so many bytes are under way."""
        while self._unsent and (self._unsent_bytes > most or most == 0):
            future, size = self._unsent.popleft()
            future.get(_ANSWER_S)
            self._unsent_bytes -= size

    def _failed(self, failure: KafkaError) -> AuraError:
        if isinstance(failure, AuthorizationError):
            return failed("sending", failure)
        taken = self.sent.records - len(self._unsent)
        what = "none was kept" if self._transactional else f"the broker has {taken} records or more"
        return AuraError(f"sending failed: {failure!r}; {what}", "See to the broker before sending again")
