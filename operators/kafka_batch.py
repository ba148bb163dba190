"""Batches of Kafka that cannot fill the memory, and whose broken records do not stop those behind them.

A batch that unpacks to more than `operators.unpack` allows, or a record that is broken inside, comes as a record that
says so in its header `REFUSED`, and the reading goes on behind it.
"""

from kafka.errors import CorruptRecordError
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from kernels.errors import BadRecord
from operators.kafka_records import REFUSED
from operators.unpack import unpack_batch

__all__ = ["install"]


class _Batch(DefaultRecordBatch):  # type: ignore[misc] # kafka-python carries no types
    """A batch that cannot fill the memory, and whose broken records do not stop those behind them."""

    _buffer: bytearray
    _pos: int
    _num_records: int
    _next_record_index: int
    _decompressed: bool
    _refused: str | None = None

    def _maybe_uncompress(self) -> None:
        if self._decompressed:
            return
        self._decompressed = True
        if self.compression_type != self.CODEC_NONE:
            packed = bytes(memoryview(self._buffer)[self._pos :])
            try:
                self._buffer, self._pos = bytearray(unpack_batch(self.compression_type, packed)), 0
            except BadRecord as error:
                self._refused = f"{error.reason} {self._num_records} records: {error}"
                self._buffer, self._pos, self._num_records = bytearray(packed), 0, 1

    def __next__(self) -> DefaultRecord:
        start = self._pos
        if self._refused is not None and self._next_record_index < self._num_records:
            return self._stand_in(self._refused, self.base_offset, start, len(self._buffer))
        try:
            return super().__next__()
        except CorruptRecordError as error:
            if self._next_record_index >= self._num_records:
                raise
            return self._skip(start, str(error))

    def _skip(self, start: int, why: str) -> DefaultRecord:
        """Return the stand-in of the record at `start`, or of the rest of the batch if its size is nonsense."""
        buffer, fields, at = self._buffer, [], start
        try:
            for _ in range(4):  # length, attributes, time, offset
                value, at = decode_varint(buffer, at)
                fields.append((value, at))
            end = fields[0][0] + fields[0][1]
            if at <= end <= len(buffer):
                return self._stand_in(f"malformed {why}", self.base_offset + fields[3][0], start, end)
        except (IndexError, ValueError):
            pass
        self._num_records = self._next_record_index + 1
        return self._stand_in(f"malformed {why}", self.last_offset, start, len(buffer))

    def _stand_in(self, why: str, offset: int, start: int, end: int) -> DefaultRecord:
        self._next_record_index += 1
        self._pos = end
        value, headers = bytes(self._buffer[start:end]), [(REFUSED, why.encode())]
        return DefaultRecord(
            end - start, offset, self.max_timestamp, self.timestamp_type, None, value, headers
        )


def install() -> None:
    """Let kafka-python read so: it unpacks without bound, ends at a header that is no UTF-8, and has no hook for either."""
    memory_records.DefaultRecordBatch = _Batch
