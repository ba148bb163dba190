"""Send events of ten agents to AURA: python examples/produce.py 127.0.0.1:9092 aura.events (or your topic)."""

import json
import sys
import time

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
partitions = len(producer.partitions_for(sys.argv[2]))
headers = [("content-type", b"application/vnd.aura.rows+json")]
for step in range(1000):
    agent = step % 10 + 1  # its partition is mix64(agent) mod P, so that its events stay in order
    z = (agent ^ agent >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    event = {"agent_id": agent, "time_us": time.time_ns() // 1000, "x_m": 10 * agent, "y_m": 20, "z_m": 5}
    value = json.dumps(event | {"seq": step, "speed_mps": 1.5 * agent, "energy": (1.5 * agent) ** 2 / 2})
    producer.send(sys.argv[2], value.encode(), str(agent).encode(), headers, (z ^ z >> 31) % partitions)
producer.close()
