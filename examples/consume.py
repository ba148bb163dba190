"""Read the results of AURA, where sink.json_rows is on: python examples/consume.py 127.0.0.1:9092 aura.cells."""

import json
import sys

from kafka import KafkaConsumer, TopicPartition

# read_committed: results of a run that died half-way are never seen
settings = {"isolation_level": "read_committed", "auto_offset_reset": "earliest", "consumer_timeout_ms": 3000}
consumer = KafkaConsumer(bootstrap_servers=sys.argv[1], enable_auto_commit=False, **settings)
consumer.assign([TopicPartition(sys.argv[2], k) for k in consumer.partitions_for_topic(sys.argv[2])])
standing = {}  # by window, start and shard: the last record is the answer, `[]` takes it back
for record in consumer:
    standing[record.key] = json.loads(record.value)
for row in (row for rows in standing.values() for row in rows):
    print(
        f"{row['window']} {row['start_us']} cell {row['cx']},{row['cy']},{row['cz']}: {row['count']} events"
    )
