"""The state of one component, and the report over all of them.

component    healthy, degraded or failed
mode         emergency: one that is required has failed, it cannot run; full: all are healthy; else degraded
overall      healthy: none has failed; degraded: at most two have; else critical
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kernels.errors import AuraError

__all__ = ["Component", "State", "checked", "mode_of", "overall_of", "report"]

State = Literal["healthy", "degraded", "failed"]
_FEW = 2  # failed components that leave the system degraded, not critical


@dataclass(frozen=True)
class Component:
    """What is known of a component.

    Parameters
    ----------
    name
        Of the component.
    state
        How it is.
    required
        Nothing runs without it.
    detail
        In words; of a problem, what is wrong.
    todo
        What to do about it.
    capabilities
        What it can do.
    performance
        What was measured, by name with unit.
    """

    name: str
    state: State
    required: bool = False
    detail: str = ""
    todo: str = ""
    capabilities: tuple[str, ...] = ()
    performance: Mapping[str, float] = field(default_factory=dict)


def checked(name: str, check: Callable[[], Component], *, required: bool) -> Component:
    """Return what `check` finds, with the seconds that it took; what it raises is a failed component."""
    start_s = time.perf_counter()
    try:
        found = check()
    except AuraError as error:
        return Component(name, "failed", required, error.message, error.hint)
    except Exception as error:
        # Whatever it is, a report says so; it must not end because what it looks at is broken.
        return Component(name, "failed", required, f"{type(error).__name__}: {error}")
    took = {"check_s": round(time.perf_counter() - start_s, 4)}
    return Component(**{**vars(found), "required": required, "performance": {**found.performance, **took}})


def mode_of(components: Sequence[Component]) -> str:
    """Return full, degraded or emergency.

    Examples
    --------
    >>> mode_of([Component("kernels", "healthy", True), Component("gpu", "failed")])
    'degraded'
    """
    if any(each.required and each.state == "failed" for each in components):
        return "emergency"
    return "full" if all(each.state == "healthy" for each in components) else "degraded"


def overall_of(components: Sequence[Component]) -> str:
    """Return healthy, degraded or critical, by how many have failed."""
    failed = sum(each.state == "failed" for each in components)
    if failed == 0:
        return "healthy"
    return "degraded" if failed <= _FEW else "critical"


def report(components: Sequence[Component], **more: Any) -> dict[str, Any]:
    """Return the report as plain data: mode, overall, every component, an alert for each failed one, and `more`."""
    alerts = [
        {"severity": "critical", "action": "immediate", "component": each.name, "what": each.detail}
        for each in components
        if each.state == "failed"
    ]
    return {
        "mode": mode_of(components),
        "overall": overall_of(components),
        "components": [asdict(each) for each in components],
        "alerts": [*alerts, *more.pop("alerts", ())],
        **more,
    }
