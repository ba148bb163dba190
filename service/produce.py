"""`aura produce`: events into the topic, partition by partition as the flow expects them, as fast as told.

    partition   the logical partition of the file or of the simulation: the topic must have as many
    order       each partition's own; the partitions are merged by event time, so that none runs ahead
    key         of a record of one row the agent, as text; of all others none
    ids         the text of each hashed id, once a process, in the compacted topic aura.ids; frames carry those of theirs
    dead rows   rows of a file that are no events go first and whole, so that the flow counts them as dead letters

At a rate, what has been sent after s seconds is rate * s; at a speed, event time runs that many times as fast as the
clock, in steps of a tenth of a second.
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from kafka import KafkaProducer
from kafka.errors import KafkaError

from kernels.errors import AuraError, BadRecord, ConfigError
from kernels.frame import encode_frame
from kernels.hashing import partition_of
from kernels.row_writer import encode_rows
from kernels.schema import MAX_RECORD_BYTES, MAX_RECORD_EVENTS, Columns
from operators.batch import length, take
from operators.ingest import FRAME_TYPE
from operators.kafka_reader import connected, topic_partitions
from operators.partitioned import DeadRow, PartitionRows
from operators.progress import Progress

__all__ = ["Chunk", "Form", "Pace", "Produced", "Sender", "chunks_of_file", "produce"]

Form = Literal["frame", "rows-msgpack", "rows-json"]

_ROWS_TYPES = {"rows-msgpack": "application/vnd.aura.rows+msgpack", "rows-json": "application/vnd.aura.rows+json"}
_STEP_S = 0.1  # of pacing: what is due within it goes out together
_CHUNK_ROWS = 1024  # rows that are encoded at once, where a record has fewer
_UNSENT_BYTES = 64 * 1024 * 1024  # kafka-python's buffer has no end
_ANSWER_S = 30
