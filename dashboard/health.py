"""How the flow is: the reports of its processes as one, every component with its state, and what to do about each problem.

state       healthy, degraded or failed of a component, the worst that one of the processes says; silent: it says nothing now
overall     the worst of what the processes say of themselves; unknown: none says anything
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, FiniteFloat

__all__ = ["Decided", "Report", "Said", "health_of"]

_STATES = ("healthy", "degraded", "silent", "failed")
_OVERALL = ("healthy", "degraded", "unknown", "critical")
_MODES = ("full", "degraded", "unknown", "emergency")
_LEVELS = ("none", "minor", "major", "critical", "emergency")
_SILENT_S = 15.0  # three words that did not come


class Component(BaseModel):
    """One component, as `service.health.component` has it."""

    name: str
    state: str
    required: bool = False
    detail: str = ""
    todo: str = ""


class Decided(BaseModel):
    """A decision, as `operators.decisions` has it: a level from a time on, or a model."""

    kind: str = "level"
    from_us: int
    level: int | None = None
    share: int | None = None
    reason: str | None = None
    name: str | None = None
    sha256: str | None = None


class Said(BaseModel):
    """What a process says of the flow: of the fields of `service.health.running` those that are shown."""

    mode: str = "unknown"
    overall: str = "unknown"
    level: str | None = None
    components: list[Component] = Field(default_factory=list)
    alerts: list[dict[str, str]] = Field(default_factory=list)
    active_fallbacks: list[str] = Field(default_factory=list)
    decisions: list[Decided] | None = None
    account: dict[str, int] | None = None
    latency_s: FiniteFloat | None = None
    watermark_us: int | None = None
    newest_us: int | None = None


@dataclass(frozen=True)
class Report:
    """What a process said, and when, seconds since 1970."""

    said: Said
    at_s: float

    def is_silent(self, now_s: float) -> bool:
        """Return whether that is too long ago to hold still."""
        return now_s - self.at_s > _SILENT_S


def health_of(reports: Mapping[str, Report], now_s: float) -> dict[str, Any]:
    """Return the health over all processes, by their names.

    Examples
    --------
    >>> disk = Component(name="disk", state="degraded", detail="2 GiB free", todo="Make room")
    >>> found = health_of({"worker 0": Report(Said(components=[disk]), 0.0)}, 1.0)
    >>> [(each["name"], each["state"], each["todo"]) for each in found["components"]]
    [('disk', 'degraded', 'Make room')]
    >>> health_of({}, 1.0)["overall"]
    'unknown'
    """
    fresh = {who: report.said for who, report in reports.items() if not report.is_silent(now_s)}
    return {
        "overall": _worst(_OVERALL, [said.overall for said in fresh.values()]),
        "mode": _worst(_MODES, [said.mode for said in fresh.values()]),
        "level": _worst(_LEVELS, [said.level for said in fresh.values() if said.level is not None]),
        "fallbacks": sorted({each for said in fresh.values() for each in said.active_fallbacks}),
        "alerts": [{**alert, "who": who} for who, said in fresh.items() for alert in said.alerts],
        "components": [*_components(fresh), *_silent(reports, now_s)],
    }


def _components(fresh: Mapping[str, Said]) -> Iterator[dict[str, Any]]:
    """Yield each component as the process says it that finds it worst."""
    by_name: dict[str, dict[str, Component]] = {}
    for who, said in fresh.items():
        for component in said.components:
            by_name.setdefault(component.name, {})[who] = component
    for name, told in by_name.items():
        state = _worst(_STATES, [component.state for component in told.values()])
        those = [who for who, component in told.items() if component.state == state]
        found = told[those[0]].model_dump() if those else {"name": name, "state": state}
        yield found | {"who": "" if len(those) == len(told) else ", ".join(those)}


def _silent(reports: Mapping[str, Report], now_s: float) -> Iterator[dict[str, Any]]:
    for who, report in reports.items():
        if report.is_silent(now_s):
            yield {
                "name": who, "state": "silent", "required": True, "who": "",
                "detail": f"its last word is {_span(now_s - report.at_s)} old",
                "todo": "If it should run, see its log; `aura cluster status` tells of a cluster",
            }  # fmt: skip


def _worst(order: tuple[str, ...], found: list[str]) -> str:
    known = [each for each in found if each in order]
    return max(known, key=order.index) if known else "unknown"


def _span(seconds: float) -> str:
    """Return a time in words.

    >>> _span(90.0), _span(7200.0)
    ('1 min', '2 h')
    """
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"
