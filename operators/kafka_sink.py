"""Results into Kafka topics, each of them once.

Partition k of the sink is the only writer of partition k of every output topic. What an epoch brings goes into one
transaction over all of them, begun at its first record and committed in `snapshot()`; the snapshot has the offsets
behind what was committed. So there is always one of two things to resume from: a snapshot whose transaction is the last
one in the log, or one that later transactions follow. A partition that starts

    1. fences:     the broker aborts the open transaction of the writer before it, which can write no more
    2. reads back: the committed records of this run from the snapshot's offsets on
    3. drops:      what it comes to again and finds there (`operators.committed`)

A crash before the first snapshot leaves no offsets. So a run has an id, which is in every record, and offsets from which
it began: `open_run` keeps both beside the recovery store, before anything is written. Without a recovery store each
start is a new run.

A commit whose outcome is not known is never tried again: the flow ends, and the next start finds out by reading.
"""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgpack
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from kernels.errors import AuraError
from kernels.schema import MAX_RECORD_BYTES
from operators.batch import Tally
from operators.committed import Committed
from operators.kafka_reader import ask, open_consumer, read_committed, topic_partitions
from operators.kafka_results import TOPICS, Message, encode_output
from operators.result_tables import Output
from operators.state import pack, unpack

__all__ = ["KafkaSink", "Run", "open_run"]

_VERSION = 1
_ANSWER_MS = 15_000  # a broker that takes longer has failed; the outcome is read back
_RECORD_BYTES = MAX_RECORD_BYTES + 128 * 1024  # what the topics of late events and dead letters take
_UNSENT_BYTES = 32 * 1024 * 1024  # kafka-python's buffer has no end: at the latest here the flow waits for the broker
