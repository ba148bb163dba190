"""Topics as a file declares them, and what would have to change where they are so.

Nothing is ever deleted: partitions are only added, and a setting that the declaration does not name is left as it is.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernels.errors import ConfigError

__all__ = ["DECLARED", "Change", "Topic", "load_topics", "plan"]

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
