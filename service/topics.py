"""Topics of a cluster: compared with those that are declared, and brought about."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import kafka.errors
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from kernels.errors import AuraError, ConfigError
from operators.kafka_reader import reached
from service.declared_topics import Change, Topic, plan

__all__ = ["apply", "difference"]

MISSING, ALREADY_THERE = 3, 36  # Kafka's error codes
SEEN_S = 10.0


def apply(client: Mapping[str, Any], topics: Collection[Topic], *, prefix: str = "") -> list[Change]:
    """Bring about the declared topics on a cluster; return the differences that there were.

    Parameters
    ----------
    client
        Settings of kafka-python's client: `bootstrap_servers`, and what security asks for.
    topics
        The declared ones. A topic is copied as often as declared, or as there are brokers where those are fewer.
    prefix
        Put before every name: a set of topics of one's own.

    Raises
    ------
    ConfigError
        If a topic has more partitions than declared.
    AuraError
        If no broker answers, or the cluster refuses a change.
    """
    wanted = _named(topics, prefix)
    with _admin(client) as admin:
        changes = plan(wanted.values(), _existing(admin, wanted))
        _create(admin, [wanted[change.topic] for change in changes if change.before is None])
        grown = {c.topic: int(c.after) for c in changes if c.before is not None and c.key == "partitions"}
        if grown:
            admin.create_partitions(grown)
        _alter(admin, [c for c in changes if c.before is not None and c.key != "partitions"])
        _wait_until_seen(admin, wanted)
    return changes


def difference(client: Mapping[str, Any], topics: Collection[Topic], *, prefix: str = "") -> list[Change]:
    """Return what `apply` would change, and change nothing; it raises what that raises."""
    wanted = _named(topics, prefix)
    with _admin(client) as admin:
        return plan(wanted.values(), _existing(admin, wanted))


def _named(topics: Collection[Topic], prefix: str) -> dict[str, Topic]:
    return {topic.name: topic for topic in (replace(topic, name=prefix + topic.name) for topic in topics)}


@contextmanager
def _admin(client: Mapping[str, Any]) -> Iterator[KafkaAdminClient]:
    """Open the client for the topics' administration; Kafka's errors become ours."""
    ours = {"bootstrap_timeout_ms": 10_000, "retry_backoff_ms": 10}
    with reached(client) as context:
        admin = KafkaAdminClient(**{**ours, **client, "ssl_context": context})
    try:
        with admin:
            yield admin
    except kafka.errors.AuthorizationError as error:
        hint = "Grant it: docs/security.md lists what each user needs"
        raise ConfigError(f"the Kafka cluster does not allow it: {error}", hint) from error
    except kafka.errors.KafkaError as error:
        raise AuraError(f"the Kafka cluster refused: {error}") from error


def _existing(admin: KafkaAdminClient, names: Collection[str]) -> dict[str, Topic]:
    """Return those of the topics that the cluster has, with all their settings, defaults included."""
    found = [topic for topic in admin.describe_topics(list(names)) if topic["error_code"] != MISSING]
    for topic in found:
        if topic["error_code"]:
            raise kafka.errors.for_code(topic["error_code"])(topic["name"])
    resources = [ConfigResource("topic", topic["name"]) for topic in found]
    settings = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {
        topic["name"]: Topic(
            name=topic["name"],
            partitions=len(topic["partitions"]),
            config={key: str(setting["value"]) for key, setting in settings[topic["name"]].items()},
        )
        for topic in found
    }


def _create(admin: KafkaAdminClient, topics: Collection[Topic]) -> None:
    if not topics:
        return
    brokers = len(admin.describe_cluster()["brokers"])
    requests = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": min(topic.replication, brokers),
            "configs": dict(topic.config),
        }
        for topic in topics
    }
    for made in admin.create_topics(requests, raise_errors=False)["topics"]:
        kind = kafka.errors.for_code(made["error_code"])
        if issubclass(kind, kafka.errors.AuthorizationError):
            raise kind(made["name"])
        if made["error_code"] not in (0, ALREADY_THERE):  # someone else may apply the same declaration
            raise AuraError(f"topic {made['name']} was not created: {made['error_message']}")


def _alter(admin: KafkaAdminClient, changes: Collection[Change]) -> None:
    settings: dict[str, dict[str, str]] = {}
    for change in changes:
        settings.setdefault(change.topic, {})[change.key] = change.after
    resources = [ConfigResource("topic", name, wanted) for name, wanted in settings.items()]
    answers = admin.alter_configs(resources).get("topic", {}) if resources else {}
    for name, answer in answers.items():
        if answer != "OK":  # kafka-python does not raise here
            raise AuraError(f"topic {name} was not altered: {answer}")


def _wait_until_seen(admin: KafkaAdminClient, wanted: Mapping[str, Topic]) -> None:
    """Wait until clients see the topics as they are wanted: a change is answered before every broker knows of it."""
    admin.wait_for_topics(list(wanted))
    end = time.monotonic() + SEEN_S
    while plan(wanted.values(), _existing(admin, wanted)):
        if time.monotonic() > end:
            raise AuraError(f"changed topics are not seen after {SEEN_S:g} s", "See the brokers' logs")
        time.sleep(0.02)
