"""Results into Kafka topics, each of them once.

Partition k of the sink is the only writer of partition k of every output topic. What an epoch brings goes into one
transaction over all of them, begun at its first record and committed in `snapshot()`; the snapshot has the offsets
behind what was committed. A partition that starts

    1. fences:     the broker aborts the open transaction of the writer before it, which can write no more
    2. reads back: the committed records of this run from the snapshot's offsets on
    3. drops:      what it comes to again and finds there (`operators.committed`)

A crash before the first snapshot leaves no offsets. So a run has an id, which is in each of its records, and offsets
from which it began: `operators.kafka_run` keeps both beside the recovery store, before anything is written. Without a
recovery store each start is a new run. DECISIONS.md goes through every place where a crash can fall.

A commit whose outcome is not known is never tried again: the flow ends, and the next start finds out by reading.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from kafka.errors import KafkaError

from kernels.errors import LostError
from kernels.schema import MAX_RECORD_BYTES
from operators.batch import Tally
from operators.committed import Committed
from operators.kafka_reader import connected, failed, read_committed
from operators.kafka_results import TOPICS, Message, encode_output
from operators.kafka_run import Run
from operators.kafka_writer import ANSWER_S, Writer
from operators.result_tables import Output
from operators.state import pack, unpack

__all__ = ["KafkaSink"]

_VERSION = 1
_RECORD_BYTES = MAX_RECORD_BYTES + 128 * 1024  # what the topics of late events and dead letters take
_UNSENT_BYTES = 32 * 1024 * 1024  # kafka-python's buffer has no end: here the flow waits for the broker


class KafkaSink(FixedPartitionedSink[Output, bytes]):
    """The topics of results.

    Parameters
    ----------
    options
        Of the connection, as `flows.settings` gives them.
    run
        What `open_run` returned.
    prefix
        Before the names of the topics.
    group, flow
        Who writes: with the prefix and the partition, the transactional id.
    partitions
        Number of writers; it cannot change while a run lasts.
    json_rows
        Result rows as JSON instead of columns.
    model
        SHA-256 of the model that scores cells, by the start of their window.
    transaction_s
        A writer that has not committed for so long has died. More than an epoch and the longest stall.
    on_account
        Told of a partition's account at the end of a bounded run.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        run: Run,
        *,
        prefix: str,
        group: str,
        flow: str,
        partitions: int,
        json_rows: bool = False,
        model: Callable[[int], str] | None = None,
        transaction_s: int = 60,
        on_account: Callable[[int, Tally], None] = lambda number, tally: None,  # noqa: ARG005 (names the arguments)
    ) -> None:
        self.options, self.run, self.prefix, self.flow = dict(options), run, prefix, flow
        self.json_rows, self.model, self.on_account, self.partitions = (
            json_rows,
            model,
            on_account,
            partitions,
        )
        self.failed = False  # whether one of the writers has
        self._writer, self._transaction_s = f"{prefix}{group}-{flow}", transaction_s

    def list_parts(self) -> list[str]:
        """Return the names of the partitions: Bytewax counts them in the order of their texts."""
        return [f"{k:05d}" for k in range(self.partitions)]

    def part_fn(self, item_key: str) -> int:
        """Return the partition that is named by the key."""
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> "_Partition":  # noqa: ARG002 (Bytewax names it)
        """Return the writer of partition `for_part`; no other can write there from now on."""
        return _Partition(self, int(for_part), resume_state)

    def fence(self) -> None:
        """Stop every writer of an earlier start: Bytewax makes a partition only when its first result comes."""
        for number in range(self.partitions):
            self.open_writer(number).close(timeout=ANSWER_S)

    def open_writer(self, number: int) -> Writer:
        """Return the producer of a partition, every other one of it fenced."""
        ours = {
            "transactional_id": f"{self._writer}-{number}",
            "transaction_timeout_ms": self._transaction_s * 1000,
            "max_request_size": _RECORD_BYTES,
            "batch_size": 1024
            * 1024,  # one batch a partition is under way at a time: with 16 KiB each waits for it
            "max_block_ms": ANSWER_S * 1000,
            "request_timeout_ms": ANSWER_S * 1000,
            "delivery_timeout_ms": (ANSWER_S + 5) * 1000,
            "retry_backoff_ms": 5,  # with the default of 100 the next transaction begins 112 ms after the last
            # From (2, 5) on a fenced writer asks for a new epoch, and the broker aborts its successor's transaction.
            "api_version": (2, 4),
        }
        producer: Writer = connected(Writer, self.options, ours)
        with _or_die(f"fencing the writers before {ours['transactional_id']}"), _or_closed(producer):
            producer.init_transactions()
        return producer


class _Partition(StatefulSinkPartition[Output, bytes]):
    def __init__(self, sink: KafkaSink, number: int, resume_state: bytes | None) -> None:
        self._sink, self.number = sink, number
        state = self._restore(resume_state)
        self._next: dict[str, int] = state["next"]
        self.tally, self._committed = Tally(**state["tally"]), Committed(state["committed"])
        self._producer = sink.open_writer(number)
        with _or_closed(self._producer):
            self._read_back()
        self._in_transaction, self._unsent_bytes = False, 0
        self._sent: list[tuple[str, Any]] = []

    def write_batch(self, values: Sequence[Output]) -> None:
        """Take results into the epoch's transaction."""
        for value in values:
            if isinstance(value, Tally):
                self.tally.add(value)
                continue
            for message in encode_output(value, json_rows=self._sink.json_rows, model=self._sink.model):
                self._write(message, getattr(value, "trace", ""))

    def snapshot(self) -> bytes:
        """Commit what the epoch brought; return the offsets behind it."""
        self._commit()
        state = {"run": self._sink.run.id, "partitions": self._sink.partitions, "next": self._next}
        state |= {"tally": asdict(self.tally), "committed": self._committed.state()}
        return pack("kafka_sink", _VERSION, state)

    def close(self) -> None:
        """Commit, and give the account; once a writer has failed nothing more is tried.

        The engine closes all writers while it unwinds from the failure of one, and a second failure would abort the process.
        """
        if self._sink.failed:
            _let_go(self._producer)
            return
        self._commit()
        self._producer.close(timeout=ANSWER_S)
        self._sink.on_account(self.number, self.tally)

    def _restore(self, resume_state: bytes | None) -> dict[str, Any]:
        run, partitions = self._sink.run, self._sink.partitions
        if resume_state is None:
            starts = {kind: offsets[self.number] for kind, offsets in run.starts.items()}
            return {"next": starts, "tally": {}, "committed": []}
        state = unpack("kafka_sink", _VERSION, resume_state)
        if (state["run"], state["partitions"]) != (run.id, partitions):
            raise LostError(
                f"the saved state is of run {state['run']} with {state['partitions']} sink partitions, "
                f"this is run {run.id} with {partitions}",
                "Start it as it was, or with an empty recovery directory: then it is a run of its own",
            )
        return state

    def _read_back(self) -> None:
        """Take in what this run has committed past its last snapshot."""
        kinds = {(self._sink.prefix + TOPICS[kind], self.number): kind for kind in self._sink.run.starts}
        for record in read_committed(
            self._sink.options, {part: self._next[kind] for part, kind in kinds.items()}
        ):
            headers = dict(record.headers)
            if headers.get("run") != self._sink.run.id.encode():
                continue
            kind = kinds[record.topic, record.partition]
            about = headers.get("id", record.key).decode()
            self._committed.note(f"{kind}:{about}", int(headers["revision"]), headers["content"])
            self._next[kind] = record.offset + 1

    def _write(self, message: Message, trace: str) -> None:
        content = message.content()
        revision = self._committed.admit(f"{message.kind}:{message.id}", message.revision, content)
        if revision is None:
            return
        headers = [*message.headers, ("revision", b"%d" % revision), ("content", content)]
        headers += [("run", self._sink.run.id.encode()), ("flow", self._sink.flow.encode())]
        headers += [("id", message.id.encode())] if message.id != message.key else []
        headers += [("traceparent", trace.encode())] if trace else []
        topic = self._sink.prefix + TOPICS[message.kind]
        with self._or_fail(f"writing to {topic}[{self.number}]"):
            if not self._in_transaction:
                self._producer.begin_transaction()
                self._in_transaction = True
            future = self._producer.send(
                topic, message.value, message.key.encode(), headers=headers, partition=self.number
            )
            self._sent.append((message.kind, future))
            self._unsent_bytes += len(message.value)
            if self._unsent_bytes > _UNSENT_BYTES:
                self._settle()

    def _settle(self) -> None:
        """Wait until the broker has all of it; raise if it has not: kafka-python would commit without what failed."""
        self._producer.flush(timeout=ANSWER_S + 10)
        for kind, future in self._sent:
            self._next[kind] = max(self._next[kind], future.get(timeout=0).offset + 1)
        self._sent, self._unsent_bytes = [], 0

    def _commit(self) -> None:
        if not self._in_transaction:
            return
        with self._or_fail(f"committing results of partition {self.number}"):
            self._settle()
            self._producer.commit_transaction()
        self._in_transaction = False

    @contextmanager
    def _or_fail(self, what: str) -> Iterator[None]:
        try:
            with _or_die(what):
                yield
        except BaseException:
            self._sink.failed = True
            raise


@contextmanager
def _or_die(what: str) -> Iterator[None]:
    """Raise what Kafka refuses as the end of the run."""
    try:
        yield
    except KafkaError as error:
        raise failed(what, error) from error


@contextmanager
def _or_closed(producer: Writer) -> Iterator[None]:
    """Let go of a producer that is of no use."""
    try:
        yield
    except BaseException:
        _let_go(producer)
        raise


def _let_go(producer: Writer) -> None:
    with suppress(Exception):
        producer.close(timeout=0)
