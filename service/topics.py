"""Topics: as a file declares them, compared with those of a cluster, and brought about there.

Nothing is ever deleted: partitions are only added, and a setting that the declaration does not name is left as it is.
"""

import difflib
import re
import time
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import kafka.errors
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from kernels.errors import AuraError, ConfigError
from operators.kafka_reader import reached

__all__ = ["DECLARED", "Change", "Topic", "apply", "difference", "load_topics", "plan"]

DECLARED = Path(__file__).resolve().parents[1] / "infra" / "kafka" / "topics.toml"

# Kafka's settings of a topic that belong in a declaration; tiered storage, flushing and index sizes are the operator's.
SETTINGS = frozenset(
    {
        "cleanup.policy",
        "compression.type",
        "delete.retention.ms",
        "max.compaction.lag.ms",
        "max.message.bytes",
        "message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms",
        "message.timestamp.type",
        "min.cleanable.dirty.ratio",
        "min.compaction.lag.ms",
        "min.insync.replicas",
        "retention.bytes",
        "retention.ms",
        "segment.bytes",
        "segment.ms",
    }
)
NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
MISSING, ALREADY_THERE = 3, 36  # Kafka's error codes
SEEN_S = 10.0


@dataclass(frozen=True)
class Topic:
    """One topic: its name, its partitions, its copies and its settings under Kafka's names."""

    name: str
    partitions: int
    replication: int = 3
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One difference that was made up: of the partitions or of a setting; `before` is None for a new topic."""

    topic: str
    key: str
    before: str | None
    after: str

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.topic}: new, {self.after} partition{'' if self.after == '1' else 's'}"
        return f"{self.topic}: {self.key} {self.before} -> {self.after}"


def load_topics(path: Path) -> list[Topic]:
    """Read the topics that a TOML file declares: a table each, with Kafka's settings as dotted keys.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a topic's name, a key or a value is not one that there is.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"topics cannot be read from {path}: {error}") from error
    return [_topic(name, table) for name, table in tables.items()]


def plan(declared: Collection[Topic], existing: Mapping[str, Topic]) -> list[Change]:
    """Return what has to change so that the topics are as declared; refuse where a partition would have to go."""
    return [change for topic in declared for change in _changes(topic, existing.get(topic.name))]


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


def _topic(name: str, table: object) -> Topic:
    if not NAME.fullmatch(name) or not isinstance(table, dict):
        raise ConfigError(
            f"{name!r} is not the name of a topic with a table of settings",
            'Write ["aura.events"], in letters, digits, dots, dashes and underscores, with its settings below',
        )
    keys = dict(_flatten(table))
    partitions = _count(name, "partitions", keys.pop("partitions", None))
    replication = _count(name, "replication", keys.pop("replication", Topic.replication))
    return Topic(name, partitions, replication, {key: _setting(name, key, keys[key]) for key in keys})


def _flatten(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """Yield the keys of a table as Kafka writes them: TOML reads `retention.ms` as `ms` in a table `retention`."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _count(topic: str, key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"topic {topic}: {key} must be a whole number from 1 up, not {value!r}")
    return value


def _setting(topic: str, key: str, value: object) -> str:
    if key not in SETTINGS:
        near = difflib.get_close_matches(key, [*SETTINGS, "partitions", "replication"], n=1)
        hint = (
            f"Did you mean {near[0]}?"
            if near
            else f"Allowed: partitions, replication, {', '.join(sorted(SETTINGS))}"
        )
        raise ConfigError(f"topic {topic}: unknown key {key!r}", hint)
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _changes(topic: Topic, before: Topic | None) -> list[Change]:
    if before is None:
        return [Change(topic.name, "partitions", None, str(topic.partitions))]
    if before.partitions > topic.partitions:
        raise ConfigError(
            f"topic {topic.name} has {before.partitions} partitions and {topic.partitions} are declared",
            f"Kafka cannot take partitions away: declare {before.partitions}, or delete the topic first",
        )
    pairs = [("partitions", str(before.partitions), str(topic.partitions))]
    pairs += [(key, before.config.get(key, "unset"), value) for key, value in topic.config.items()]
    return [Change(topic.name, key, old, new) for key, old, new in pairs if old != new]


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
