"""A producer whose transactions end in time: kafka-python waits for a commit's answer for as long as it takes.

A coordinator that is away, or moves as its broker dies, is looked for without an end, while the worker stands still in
`commit_transaction` and neither notices a drain nor fails. Here it fails; whether the commit took place is read back later.
"""

from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

__all__ = ["ANSWER_S", "Writer"]

ANSWER_S = 15
"""A broker that takes longer has failed."""


class Writer(KafkaProducer):  # type: ignore[misc] # kafka-python carries no types
    """A producer for transactions.

    Examples
    --------
    >>> Writer.commit_transaction is KafkaProducer.commit_transaction
    False
    """

    _transaction_manager: Any
    _sender: Any

    def commit_transaction(self) -> None:
        """Commit; KafkaTimeoutError where no answer comes in time: the outcome is not known then."""
        self._end(self._transaction_manager.begin_commit(), "commit")

    def abort_transaction(self) -> None:
        """Abort; KafkaTimeoutError where no answer comes in time: the next writer of the same id aborts it."""
        self._end(self._transaction_manager.begin_abort(), "abort")

    def _end(self, result: Any, what: str) -> None:
        self._sender.wakeup()
        if not result.wait(timeout_ms=ANSWER_S * 1000):
            raise KafkaTimeoutError(f"no answer to a {what} within {ANSWER_S} s")
