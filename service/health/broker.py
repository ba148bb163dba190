"""Checks of Kafka: whether a broker answers, and whether the topics are there as they are declared."""

import time
from collections.abc import Callable

from flows.settings.root import Settings
from kernels.errors import AuraError
from operators.kafka_reader import open_consumer
from service.declared_topics import DECLARED, load_topics
from service.health.component import Component
from service.topics import difference

__all__ = ["broker_checks"]

_ANSWER_MS = 3_000  # whoever asks how things are does not want to wait as long as a run would


def broker_checks(settings: Settings) -> tuple[Callable[[], Component], Callable[[], Component]]:
    """Return the checks of the broker and of the topics; no others are asked for while the first one fails."""
    options = settings.kafka.client_options() | {"bootstrap_timeout_ms": _ANSWER_MS}

    def broker() -> Component:
        start_s = time.perf_counter()
        with open_consumer(options) as consumer:
            connect_s = time.perf_counter() - start_s
            start_s = time.perf_counter()
            topics = consumer.topics()
        measured = {"connect_s": round(connect_s, 4), "round_trip_s": round(time.perf_counter() - start_s, 4)}
        how = (settings.kafka.security_protocol, f"{len(topics)} topics")
        return Component(
            "broker", "healthy", detail=settings.kafka.bootstrap, capabilities=how, performance=measured
        )

    def topics() -> Component:
        prefix = settings.kafka.prefix
        changes = difference(options, load_topics(DECLARED), prefix=prefix)
        if not changes:
            return Component("topics", "healthy", detail=f"as declared, under the prefix {prefix!r}")
        missing = [change.topic for change in changes if change.before is None]
        todo = "`aura topics apply` makes them as they are declared"
        if f"{prefix}aura.events" in missing:
            raise AuraError(f"missing: {', '.join(missing)}", todo)
        detail = "; ".join(f"{c.topic}: {c.key} is {c.before}, declared {c.after}" for c in changes)
        return Component("topics", "degraded", detail=detail, todo=todo)

    return broker, topics
