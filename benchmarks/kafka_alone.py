"""kafka-python alone: the records of a topic polled as fast as it can, nothing done with them. A process of its own."""

import json
import sys
import time

from kafka import KafkaConsumer, TopicPartition

__all__: list[str] = []

_AT_ONCE = 8192  # records a poll: with 500, the default, rows come a sixth slower


def _run(bootstrap: str, topic: str) -> dict[str, float]:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",  # as whoever wants results exactly once must read
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2 * 1024 * 1024,  # larger answers come slower
        fetch_max_bytes=8 * 1024 * 1024,
    )
    parts = [TopicPartition(topic, k) for k in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(parts)
    ends = consumer.end_offsets(parts)
    seen, size, start = 0, 0, 0.0
    while any(consumer.position(part) < ends[part] for part in parts):
        for records in consumer.poll(timeout_ms=1000, max_records=_AT_ONCE).values():
            if not start:  # the clock starts behind the first records, as for the flow
                start = time.perf_counter()
                continue
            seen += len(records)
            size += sum(len(record.value) for record in records)
    seconds = time.perf_counter() - start
    return {"records": seen / seconds / 1e6, "megabytes": size / seconds / 1e6}


if __name__ == "__main__":
    print(json.dumps(_run(*sys.argv[1:])))
