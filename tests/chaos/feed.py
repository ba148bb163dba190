"""The producer of a scenario: every record once, in the order of its partition, at an even pace, whatever brokers do."""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence

from chaos.events import Record
from kafka import KafkaProducer

__all__ = ["Feed"]

_UNDER_WAY = 100  # records
_PATIENCE_S = 240


class Feed:
    """Sends the records of partitions in turn.

    Parameters
    ----------
    bootstrap, topic
        Where to.
    parts
        The records of each partition.
    seconds
        How long it takes; more, if brokers are away.
    silent
        A partition that nothing is sent to after a quarter of its records, until the others have three and `resume` is called.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        parts: Mapping[int, Sequence[Record]],
        seconds: float,
        *,
        silent: int | None = None,
    ) -> None:
        self._bootstrap, self._topic, self._seconds = bootstrap, topic, seconds
        turns = max(map(len, parts.values()))
        quarter, order = turns // 4, [(i, k) for i in range(turns) for k in parts if i < len(parts[k])]
        order.sort(key=lambda turn: turn[0] + 2 * quarter * (turn[1] == silent and turn[0] >= quarter))
        self._order = [(k, parts[k][i]) for i, k in order]
        back = (at for at, (i, k) in enumerate(order) if k == silent and i == quarter)
        self._back, self._resumed = next(back, None), threading.Event()
        self._sent, self._stopped = 0, threading.Event()
        self._moved = threading.Condition()
        self.broken: list[str] = []
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether all records were sent."""
        return self._sent == len(self._order)

    def resume(self) -> None:
        """Let the partition that was silent be heard again."""
        self._resumed.set()

    def stop(self) -> None:
        """Send no more; of a scenario that has failed nothing is to go on beside the next."""
        self._stopped.set()
        self._resumed.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def until(self, share: float) -> None:
        """Wait until so much of all records was sent."""
        with self._moved:
            reached = self._moved.wait_for(
                lambda: self.broken or self._sent >= share * len(self._order), _PATIENCE_S
            )
        assert reached, "the feed does not get on"
        assert not self.broken, self.broken

    def _run(self) -> None:
        try:
            with KafkaProducer(
                bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True, linger_ms=2, retry_backoff_ms=20,
                max_block_ms=_PATIENCE_S * 1000, delivery_timeout_ms=_PATIENCE_S * 1000, request_timeout_ms=10_000,
                bootstrap_timeout_ms=60_000, reconnect_backoff_max_ms=500,
            ) as producer:  # fmt: skip
                self._send(producer)
        except Exception as error:
            self.broken.append(repr(error))
            with self._moved:
                self._moved.notify_all()
            raise

    def _send(self, producer: KafkaProducer) -> None:
        begun_s, offsets = time.monotonic(), dict[int, int]()
        under_way: deque[tuple[int, object]] = deque()
        for number, (partition, record) in enumerate(self._order):
            if number == self._back:
                self._resumed.wait(_PATIENCE_S)
            wait_s = begun_s + number * self._seconds / len(self._order) - time.monotonic()
            begun_s -= min(
                wait_s, 0.0
            )  # after an outage it goes on at its pace: what was not sent is not made up for
            if self._stopped.wait(max(wait_s, 0.0)):
                return
            future = producer.send(self._topic, record.value, headers=record.headers, partition=partition)
            under_way.append((partition, future))
            while len(under_way) > (0 if number == len(self._order) - 1 else _UNDER_WAY):
                _settle(*under_way.popleft(), offsets)
            with self._moved:
                self._sent = number + 1
                self._moved.notify_all()


def _settle(partition: int, future: object, offsets: dict[int, int]) -> None:
    """Wait for a record; see that it stands where its number says: none is lost, doubled or out of its order."""
    found = future.get(_PATIENCE_S).offset  # type: ignore[attr-defined]
    expected = offsets.get(partition, -1) + 1
    assert found == expected, f"record {expected} of partition {partition} stands at {found}"
    offsets[partition] = found
