"""The main job through a real broker, by the commands that a user gives."""

import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from command import json_of
from kafka import KafkaProducer


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The summary of the run without Kafka."""
    return json_of("run", "--json", "--out", str(tmp_path_factory.mktemp("files")))


@pytest.fixture
def prefix() -> str:
    """Before the names of the topics of one test, never used again."""
    return f"t{uuid.uuid4().hex[:8]}."


@pytest.mark.parametrize("form", ["frame", "rows-msgpack"])
def test_the_same_digest_through_the_broker(
    kafka: str, prefix: str, expected: dict[str, Any], tmp_path: Path, form: str
) -> None:
    """Topics made, flights produced, run to the end: the digest of the run without Kafka, in files and in topics."""
    env = {"AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": prefix}
    assert len({change["topic"] for change in json_of("topics", "apply", "--json", **env)}) > 5
    assert json_of("topics", "apply", "--json", **env) == []
    assert json_of("produce", "--format", form, "--json", **env)["events"] == expected["events_in"]
    read = ("run", "--source", "kafka", "--until-end", "--json")
    files = json_of(*read, "--out", str(tmp_path / "files"), **env)
    topics = json_of(*read, "--sink", "kafka", "--out", str(tmp_path / "topics"), **env)
    for summary in (files, topics):
        assert summary["digest"] == expected["digest"]
        assert summary["windowed"] == expected["windowed"]
        assert summary["alerts"] == expected["alerts"]


def test_what_cannot_be_read_is_shown_and_sent_back(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Random bytes are dead letters that `aura deadletters` shows; sent back, they stand in the topic once more."""
    env = {"AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": prefix}
    json_of("topics", "apply", "--json", **env)
    with KafkaProducer(bootstrap_servers=kafka) as producer:
        for number in range(3):
            producer.send(f"{prefix}aura.events", os.urandom(40), partition=number)
    read = ("run", "--source", "kafka", "--sink", "kafka", "--until-end", "--json", "--out", str(tmp_path))
    assert json_of(*read, **env)["dead_letters"] == 3
    shown = json_of("deadletters", "show", "--json", **env)
    assert sorted((row["partition"], row["offset"], row["size"]) for row in shown) == [
        (0, 0, 40), (1, 0, 40), (2, 0, 40),
    ]  # fmt: skip
    assert json_of("deadletters", "resend", "--partition", "1", "--json", **env) == {"sent": 1, "left": 0}
    assert json_of(*read, **env)["dead_letters"] == 4
