"""Everything that a run of a configuration needs, examined: what can run of it, and of each problem what to do."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flows.settings.root import Settings
from service.health.broker import broker_checks
from service.health.checks import (
    check_clock,
    check_disk,
    check_gpu,
    check_kernels,
    check_memory,
    check_models,
    check_recovery,
)
from service.health.component import Component, checked, report

__all__ = ["examine"]


def examine(settings: Settings, *, sink: str) -> dict[str, Any]:
    """Return the report on what a run of `settings` into `sink` needs."""
    uses_kafka = "kafka" in (settings.input.source, sink)
    broker, topics = broker_checks(settings)
    checks: dict[str, tuple[Callable[[], Component], bool]] = {
        "kernels": (partial(check_kernels, settings), True),
        "gpu": (partial(check_gpu, settings), False),  # the CPU takes its place
        "models": (partial(check_models, settings), bool(settings.models)),
        "disk": (partial(check_disk, settings), True),
        "memory": (partial(check_memory, settings), True),
        "recovery store": (partial(check_recovery, settings), settings.recovery.directory is not None),
        "clock": (check_clock, False),
        "broker": (broker, uses_kafka),
        "topics": (topics, uses_kafka),
    }
    components: list[Component] = []
    for name, (check, required) in checks.items():
        in_vain = name == "topics" and components[-1].state == "failed"
        components.append(checked(name, _unknown if in_vain else check, required=required))
    return report(components, runs=_runs(components))


def _unknown() -> Component:
    return Component(
        "topics", "failed", detail="not known: no broker answers", todo="See to the broker first"
    )


def _runs(components: Sequence[Component]) -> dict[str, bool]:
    """Return what can run, by command."""
    failed = {each.name for each in components if each.state == "failed"}
    local = not failed & {"kernels", "models", "disk", "memory", "recovery store"}
    return {
        "aura run": local,
        "aura run --source kafka": local and not failed & {"broker", "topics"},
        "aura cluster": local,
    }
