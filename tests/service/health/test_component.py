"""The rules by which components make a mode and an overall state."""

import pytest

from kernels.errors import AuraError
from service.health.component import Component, State, checked, mode_of, overall_of, report


@pytest.mark.parametrize(
    ("required", "optional", "mode"),
    [
        ("healthy", "healthy", "full"), ("healthy", "degraded", "degraded"), ("healthy", "failed", "degraded"),
        ("degraded", "healthy", "degraded"), ("failed", "healthy", "emergency"), ("failed", "failed", "emergency"),
    ],
)  # fmt: skip
def test_mode(required: State, optional: State, mode: str) -> None:
    """A failed component that is required is an emergency; all healthy is full; the rest is degraded."""
    assert mode_of([Component("a", required, True), Component("b", optional)]) == mode


@pytest.mark.parametrize(
    ("failed", "overall"), [(0, "healthy"), (1, "degraded"), (2, "degraded"), (3, "critical")]
)
def test_overall(failed: int, overall: str) -> None:
    """None failed is healthy, at most two degraded, more critical."""
    components = [Component(str(k), "failed" if k < failed else "healthy") for k in range(4)]
    assert overall_of(components) == overall


def test_what_a_check_raises_is_a_failed_component() -> None:
    """A report never ends because what it looks at is broken; it keeps the words and what to do."""

    def away() -> Component:
        raise AuraError("no broker answers", "Start one")

    def broken() -> Component:
        raise ZeroDivisionError("by zero")

    found = [checked("broker", away, required=True), checked("odd", broken, required=False)]
    assert (found[0].state, found[0].detail, found[0].todo) == ("failed", "no broker answers", "Start one")
    assert found[1].detail == "ZeroDivisionError: by zero"
    told = report(found, level="none")
    assert [alert["component"] for alert in told["alerts"]] == ["broker", "odd"]
    assert told["alerts"][0] | {"what": ""} == {
        "severity": "critical", "action": "immediate", "component": "broker", "what": "",
    }  # fmt: skip
    assert told["level"] == "none"
