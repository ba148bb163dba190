"""A producer at a steady rate whose events happen now: frames of all that happened since the last. A process of its own."""

import sys
import time

import numpy as np
from kafka import KafkaProducer

from kernels.frame import FRAME_TYPE, encode_frame
from kernels.hashing import partition_of

__all__: list[str] = []

_PARTITIONS = 2
_EVERY_S = 0.02  # a frame a partition
_HEADERS = [("content-type", FRAME_TYPE.encode())]


def _produce(bootstrap: str, topic: str, rate: int, seconds: float) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=0, max_request_size=1 << 20)
    agents = np.arange(1 << 20, dtype=np.uint64)
    by_partition = [agents[partition_of(agents, _PARTITIONS) == k] for k in range(_PARTITIONS)]
    rng, each = np.random.default_rng(0), int(rate * _EVERY_S / _PARTITIONS)
    start_s = time.time()
    for tick in range(1, int(seconds / _EVERY_S) + 1):
        until_s = start_s + tick * _EVERY_S
        time.sleep(max(until_s - time.time(), 0))
        for partition in range(_PARTITIONS):
            frame = _frame(rng, by_partition[partition], each, until_s)
            producer.send(topic, frame, headers=_HEADERS, partition=partition)
    producer.close()


def _frame(rng: np.random.Generator, agents: np.ndarray, size: int, until_s: float) -> bytes:
    x, y, m0 = rng.random((3, size), dtype=np.float32)
    time_us = (until_s - _EVERY_S) * 1e6 + np.arange(1, size + 1) * (_EVERY_S * 1e6 / size)
    columns = {"agent_id": rng.choice(agents, size), "time_us": time_us.astype(np.int64)}
    return encode_frame(columns | {"x_m": x, "y_m": y, "z_m": np.zeros(size, np.float32), "m0": m0 * 1000})


if __name__ == "__main__":
    _produce(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
