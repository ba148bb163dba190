import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from infra.kafka.broker import HERE, BrokerError, Cluster, Node
from service.declared_topics import Topic
from service.topics import apply

LARGEST = 8 * 2**20


def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    """Write records to partition 0 and wait until they are taken."""
    with KafkaProducer(bootstrap_servers=bootstrap, retry_backoff_ms=10) as producer:
        for value in [producer.send(topic, value=value, partition=0) for value in values]:
            value.get(30)


def consume(bootstrap: str, topic: str) -> list[bytes]:
    """Read partition 0 from its beginning to its end."""
    partition = TopicPartition(topic, 0)
    with KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed") as consumer:
        consumer.assign([partition])
        consumer.seek(partition, 0)
        end = consumer.end_offsets([partition])[partition]
        values: list[bytes] = []
        while consumer.position(partition) < end:
            values += [record.value for record in consumer.poll(timeout_ms=200).get(partition, [])]
    return values


def launcher(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run broker.py as a user does."""
    command = [sys.executable, str(HERE / "broker.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_launcher(java, tmp_path: Path) -> None:
    """A broker is started once, answers, is stopped, and has its address and its data when it is started again."""
    place = ("--dir", str(tmp_path / "kafka"))
    bootstrap = launcher("start", "--port", "0", *place).stdout.strip()
    try:
        assert re.fullmatch(r"127\.0\.0\.1:\d+", bootstrap)
        status = launcher("status", *place)
        assert status.returncode == 0
        assert re.fullmatch(rf"broker 1: {bootstrap}, process \d+, answers\n", status.stdout)
        assert launcher("start", *place).stdout.strip() == bootstrap, "one that runs is left to run"
        assert launcher("status", *place).stdout == status.stdout
        apply({"bootstrap_servers": bootstrap}, [Topic("kept", 1)])
        produce(bootstrap, "kept", [b"first"])

        assert launcher("stop", *place).returncode == 0
        status = launcher("status", *place)
        assert (status.returncode, status.stdout) == (1, f"broker 1: {bootstrap}, not running\n")

        assert launcher("start", *place).stdout.strip() == bootstrap
        assert consume(bootstrap, "kept") == [b"first"]
    finally:
        launcher("stop", *place)


def test_one_of_three_is_killed(java, tmp_path: Path) -> None:
    """With one of three brokers killed records are still taken, and it comes back to a cluster that has them all."""
    cluster = Cluster(tmp_path, brokers=3, port=0)
    try:
        bootstrap = cluster.start()
        apply({"bootstrap_servers": bootstrap}, [Topic("copied", 1)])
        produce(bootstrap, "copied", [b"with three"])
        with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
            leader = admin.describe_topics(["copied"])[0]["partitions"][0]["leader_id"]
        others = {node.number: node.pid() for node in cluster.nodes if node.number != leader}

        cluster.kill(leader)
        assert not cluster.nodes[leader - 1].answers()
        produce(bootstrap, "copied", [b"with two"])
        assert {number: cluster.nodes[number - 1].pid() for number in others} == others, "the others run on"

        cluster.start(only=leader)
        produce(bootstrap, "copied", [b"with three again"])
        assert consume(bootstrap, "copied") == [b"with three", b"with two", b"with three again"]
    finally:
        cluster.stop()
    assert [node.pid() for node in cluster.nodes] == [None] * 3


def test_a_number_of_another_process_is_left_alone(tmp_path: Path) -> None:
    """A pid file that names another program by now gets that program neither signalled nor reported."""
    node = Node(1, 1, tmp_path)
    (tmp_path / "pid").write_text(str(os.getpid()))
    assert node.pid() is None
    assert node.state() == "not running"
    cluster = Cluster(tmp_path.parent / "other", port=0)
    cluster.nodes[0].folder.mkdir(parents=True)
    (cluster.nodes[0].folder / "pid").write_text(str(os.getpid()))
    cluster.stop()


def test_failed_start(java, tmp_path: Path) -> None:
    """A broker that ends as it starts is reported with the end of its log and with what to do."""
    data = tmp_path / "1" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\n")
    with pytest.raises(BrokerError) as caught:
        Cluster(tmp_path, port=0).start()
    assert "broker 1 is not running" in str(caught.value)
    assert "Stored node id 7 doesn't match" in str(caught.value), "from the log"
    assert f"delete {tmp_path}" in str(caught.value)


def test_port_in_use(java, kafka: str, tmp_path: Path) -> None:
    """A port that another program has is reported before anything is started."""
    port = kafka.rpartition(":")[2]
    done = launcher("start", "--port", port, "--dir", str(tmp_path))
    assert (done.returncode, done.stderr) == (
        1,
        f"error: port {port} is in use: end what has it, or give another --port (0: any)\n",
    )


def test_folder_of_another_cluster(tmp_path: Path) -> None:
    """A folder that holds one broker is not taken for three, and a number that it has not got is refused."""
    (tmp_path / "cluster.json").write_text('{"id": "x", "ports": [21000, 21001]}')
    with pytest.raises(BrokerError, match=r"has 1 broker.*, not 3: give another --dir"):
        Cluster(tmp_path, brokers=3)
    with pytest.raises(BrokerError, match=r"no broker 2 in .*: they are numbered 1 to 1"):
        Cluster(tmp_path).stop(only=2)
    assert Cluster(tmp_path).bootstrap == "127.0.0.1:21000"
    assert Cluster(tmp_path, port=22000).bootstrap == "127.0.0.1:22000"


def test_largest_record_in_a_transaction(kafka: str, topics) -> None:
    """A record of 8 MiB, written in a transaction, is read whole by a reader of committed records, with broker time."""
    topic = topics(Topic("frames", 1)) + "frames"
    largest = os.urandom(LARGEST)
    with KafkaProducer(
        bootstrap_servers=kafka,
        transactional_id=topic,
        max_request_size=LARGEST + 65_536,
        retry_backoff_ms=10,
    ) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        aborted = producer.send(topic, value=b"aborted", partition=0)
        producer.flush()
        assert aborted.get(1).offset == 0
        producer.abort_transaction()
        producer.begin_transaction()
        sent = producer.send(topic, value=largest, partition=0, timestamp_ms=1)
        producer.commit_transaction()
        assert sent.get(1).timestamp > 1, "the broker's clock, not the producer's"
    assert consume(kafka, topic) == [largest]


def test_topics_are_not_made_by_asking(kafka: str) -> None:
    """A topic that nobody declared is not made by a consumer that asks for it."""
    with KafkaConsumer(bootstrap_servers=kafka) as consumer:
        assert consumer.partitions_for_topic("misspelt") == set()
        assert "misspelt" not in consumer.topics()


def test_image_and_jars_are_one_version() -> None:
    """Docker's image and Maven's jars are the same Kafka."""
    (jars,) = re.findall(
        r"<artifactId>kafka_2\.13</artifactId>\s*<version>([\d.]+)<", (HERE / "pom.xml").read_text()
    )
    assert f"image: apache/kafka:{jars}\n" in (HERE / "compose.yaml").read_text()
