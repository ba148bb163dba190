from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import AuraError, ConfigError
from operators.kafka_results import TOPICS
from service.declared_topics import DECLARED, Change, Topic, load_topics, plan
from service.topics import apply

SINK_TOPICS = set(TOPICS.values())

settings = st.dictionaries(st.sampled_from(["retention.ms", "segment.ms"]), st.sampled_from(["1", "2"]))
declarations = st.builds(
    Topic, name=st.sampled_from(["a", "b"]), partitions=st.integers(1, 9), config=settings
)


def write(folder: Path, text: str) -> Path:
    """Write a declaration and return its path."""
    path = folder / "topics.toml"
    path.write_text(text)
    return path


def test_declared_topics() -> None:
    """The repository declares the topics of the contract, and those that the sink writes have as many partitions."""
    topics = {topic.name: topic for topic in load_topics(DECLARED)}
    assert set(topics) == {f"aura.{name}" for name in ("events", "control", "health", "ids")} | SINK_TOPICS
    assert {topics[name].partitions for name in SINK_TOPICS} == {4}
    assert topics["aura.events"].config["message.timestamp.type"] == "LogAppendTime"
    assert topics["aura.control"].partitions == 1, "decisions have one order"
    assert topics["aura.control"].config["retention.ms"] == topics["aura.events"].config["retention.ms"]


def test_dotted_keys_are_kafkas_names(tmp_path: Path) -> None:
    """Dotted keys, lists, numbers and booleans become Kafka's names and texts."""
    text = """
    ["a.b"]
    partitions = 3
    replication = 2
    cleanup.policy = ["compact", "delete"]
    retention.ms = 60_000
    min.cleanable.dirty.ratio = 0.5
    """
    config = {"cleanup.policy": "compact,delete", "retention.ms": "60000", "min.cleanable.dirty.ratio": "0.5"}
    assert load_topics(write(tmp_path, text)) == [Topic("a.b", 3, 2, config)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[a]\npartitions = 1\nretention.msec = 7",
            "topic a: unknown key 'retention.msec'. Did you mean retention.ms",
        ),
        (
            "[a]\npartitions = 1\nxyz = 7",
            "topic a: unknown key 'xyz'. Allowed: partitions, replication, cleanup.policy",
        ),
        ("[a]\nretention.ms = 7", "topic a: partitions must be a whole number from 1 up, not None"),
        ("[a]\npartitions = 0", "topic a: partitions must be a whole number from 1 up, not 0"),
        ("[a]\npartitions = true", "not True"),
        (
            "[a]\npartitions = 1\nreplication = '3'",
            "topic a: replication must be a whole number from 1 up, not '3'",
        ),
        ("['a b']\npartitions = 1", "'a b' is not the name of a topic"),
        ("a = 1", "'a' is not the name of a topic with a table of settings"),
        ("[a", "topics cannot be read from"),
    ],
)
def test_refused(tmp_path: Path, text: str, said: str) -> None:
    """A wrong declaration is refused in words that name the topic, the key and the value."""
    with pytest.raises(ConfigError) as caught:
        load_topics(write(tmp_path, text))
    assert said in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is an error that names it."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_topics(tmp_path / "nowhere.toml")


@given(st.lists(declarations, unique_by=lambda topic: topic.name))
def test_plan_is_empty_when_all_is_as_declared(topics: list[Topic]) -> None:
    """Nothing has to change on a cluster that has what is declared, more settings included."""
    existing = {topic.name: replace(topic, config={"flush.ms": "1", **topic.config}) for topic in topics}
    assert plan(topics, existing) == []


@given(declarations, declarations)
def test_plan_leads_to_the_declaration(topic: Topic, before: Topic) -> None:
    """A topic with the planned changes made is as declared; one with too many partitions is refused."""
    if before.partitions > topic.partitions:
        with pytest.raises(ConfigError, match="Kafka cannot take partitions away"):
            plan([topic], {topic.name: before})
        return
    changes = plan([topic], {topic.name: before})
    assert all(change.before != change.after for change in changes)
    after = {"partitions": str(before.partitions), **before.config} | {c.key: c.after for c in changes}
    assert after == {**before.config, "partitions": str(topic.partitions), **topic.config}


def test_changes_in_words() -> None:
    """A change is printed as what was and what is."""
    assert str(Change("a", "partitions", None, "1")) == "a: new, 1 partition"
    assert str(Change("a", "partitions", "1", "2")) == "a: partitions 1 -> 2"
    assert str(Change("a", "retention.ms", "1", "2")) == "a: retention.ms 1 -> 2"


def test_apply_is_idempotent(kafka: str, topics) -> None:
    """A second application of the declared topics finds nothing to do."""
    prefix = topics()
    assert apply({"bootstrap_servers": kafka}, load_topics(DECLARED), prefix=prefix) == []


def test_apply_makes_up_the_differences(kafka: str, topics) -> None:
    """Settings are altered, partitions added and new topics made, and the differences are returned."""
    first = Topic("a", 2, config={"retention.ms": "1000000"})
    client, prefix = {"bootstrap_servers": kafka}, topics(first)
    second = replace(first, partitions=3, config={"retention.ms": "2000000"})
    assert apply(client, [second], prefix=prefix) == [
        Change(f"{prefix}a", "partitions", "2", "3"),
        Change(f"{prefix}a", "retention.ms", "1000000", "2000000"),
    ]
    assert apply(client, [second], prefix=prefix) == []
    assert apply(client, [replace(second, config={})], prefix=prefix) == [], "what is not named is left alone"
    with pytest.raises(ConfigError, match="has 3 partitions and 2 are declared"):
        apply(client, [first], prefix=prefix)


def test_apply_says_what_the_cluster_refuses(kafka: str, topics) -> None:
    """A value that the broker does not take is an error in the broker's words, for a new topic and for an old one."""
    bad = Topic("a", 1, config={"retention.ms": "soon"})
    with pytest.raises(AuraError, match=r"refused\.a was not created: Invalid value soon"):
        apply({"bootstrap_servers": kafka}, [bad], prefix="refused.")
    with pytest.raises(AuraError, match=r"was not altered.*Invalid value soon"):
        apply({"bootstrap_servers": kafka}, [bad], prefix=topics(Topic("a", 1)))


def test_apply_without_a_broker() -> None:
    """Where no broker answers, the error names the address and what to do."""
    client = {"bootstrap_servers": "127.0.0.1:1", "bootstrap_timeout_ms": 300}
    with pytest.raises(
        AuraError, match=r"no Kafka broker answers at 127\.0\.0\.1:1\. Start one with `make broker`"
    ):
        apply(client, [Topic("a", 1)])
